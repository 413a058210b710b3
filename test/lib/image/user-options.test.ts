// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { readOptions } from '../../../lib/image/user-options.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe("the user's options", () => {
  test.each([
    [['--builder', 'b', '--pull'], { builder: 'b', rest: ['--pull'] }],
    [['--builder=a', '--builder', 'b'], { builder: 'b', rest: [] }],
    [['-tx', '-t=y', '-t', 'z', '--tag=w'], { tags: ['x', 'y', 'z', 'w'], rest: [] }],
    [['--file=a', '-f', 'b'], { dockerfile: 'b', rest: [] }],
    [['--target', 't', '--build-arg', 'A=b'], { target: 't', rest: ['--build-arg', 'A=b'] }],
    [['--build-arg=A', '-q', '--network', 'none'], { rest: ['--build-arg=A', '-q', '--network', 'none'] }],
    [['--label', '-x'], { rest: ['--label', '-x'] }],
    [['--tagged', 'x'], { tags: [], rest: ['--tagged', 'x'] }],
    [[], { builder: undefined, dockerfile: undefined, target: undefined, tags: [], rest: [] }],
  ])('%j', (args, expected) => {
    expect(readOptions(args)).toMatchObject(expected);
  });

  test.each([
    [['x'], "2: 'x' is neither an option of the build command nor the value of one; write a value as --option=VALUE"],
    [['--pull', 'x', 'y'], "2: 'y' is neither"],
    [['--a=b', 'x'], "2: 'x' is neither"],
    [['--builder', 'b', 'x'], "2: 'x' is neither"],
    [['-'], "2: '-' is neither"],
    [['--tag='], '2: --tag needs a value: --tag VALUE'],
    [['-f'], '2: -f needs a value: -f VALUE'],
    [['--push=false'], "2: '--push=false' cannot be passed on; where the image goes is said by"],
    [['-o', 'x'], "2: '-o' cannot be passed on; where the image goes is said by"],
    [['--iidfile', 'x'], "2: '--iidfile' cannot be passed on; "],
    [['--platform=linux/amd64'], "2: '--platform=linux/amd64' cannot be passed on; the platforms"],
  ])('%j', (args, expected) => {
    expect(refusalOf(() => readOptions(args)).startsWith(expected)).toBe(true);
  });
});
