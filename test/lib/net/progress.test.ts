// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { Progress, progressText } from '../../../lib/net/progress.ts';
import { screen } from '../../support/in-process.ts';

test('how far it is, where the size is known and where it is not', () => {
  expect(progressText('umoci', 3_200_000, 15_000_000)).toBe('umoci: 3.2 MB of 15.0 MB (21 %)');
  expect(progressText('umoci', 3_200_000, undefined)).toBe('umoci: 3.2 MB');
  expect(progressText('umoci', 0, 0)).toBe('umoci: 0.0 MB');
});

test('lines, and not more often than is told', () => {
  const shown = screen();
  const progress = new Progress(new Terminal(shown.out, shown.err, {}), 'umoci', 0);
  progress.update(1_000_000, 2_000_000);
  expect(shown.stderr()).toBe('umoci: 1.0 MB of 2.0 MB (50 %)\n');
  const rare = new Progress(new Terminal(shown.out, shown.err, {}), 'umoci');
  rare.update(2_000_000, 2_000_000);
  expect(shown.stderr()).toBe('umoci: 1.0 MB of 2.0 MB (50 %)\n');
});

test('at a terminal one line is written over, and is as wide as that', () => {
  const shown = screen(true, 20);
  const terminal = new Terminal(shown.out, shown.err, { TERM: 'xterm', NO_COLOR: '1' });
  const progress = new Progress(terminal, 'umoci', 0);
  progress.update(1_000_000, 2_000_000);
  terminal.say('done');
  terminal.say('next');
  expect(shown.stderr()).toBe('\r\u001b[Kumoci: 1.0 MB of 2.\r\u001b[Kdone\nnext\n');
});
