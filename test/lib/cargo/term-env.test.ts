// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { cargoTermEnv } from '../../../lib/cargo/term-env.ts';
import type { Environment } from '../../../lib/cli/env.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { screen } from '../../support/in-process.ts';

const on = (isTTY: boolean, env: Environment = {}, columns?: number) => {
  const shown = screen(isTTY, columns);
  return cargoTermEnv(new Terminal(shown.out, shown.err, env), env);
};

test('without a terminal nothing is set: cargo sees a pipe, as it would by itself', () => {
  expect(on(false, { CARGO_TERM_COLOR: 'always' })).toEqual({});
});

describe('with a terminal cargo writes as it would to it', () => {
  test('progress as wide as the terminal, and colour', () => {
    expect(on(true, { TERM: 'xterm' }, 120)).toEqual({
      CARGO_TERM_COLOR: 'always',
      CARGO_TERM_PROGRESS_WHEN: 'always',
      CARGO_TERM_PROGRESS_WIDTH: '120',
    });
    expect(on(true).CARGO_TERM_PROGRESS_WIDTH).toBe('80');
  });

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('no colour with %j', (env) => {
    expect(on(true, env).CARGO_TERM_COLOR).toBe('never');
  });

  test('what the user has set stays, and empty is unset', () => {
    const set = { CARGO_TERM_COLOR: 'never', CARGO_TERM_PROGRESS_WHEN: 'auto', CARGO_TERM_PROGRESS_WIDTH: '40' };
    expect(on(true, set, 120)).toEqual(set);
    expect(on(true, { CARGO_TERM_COLOR: '' }).CARGO_TERM_COLOR).toBe('always');
  });
});
