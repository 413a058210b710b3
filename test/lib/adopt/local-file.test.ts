// SPDX-License-Identifier: Apache-2.0

import { check, constantFrom, array as listOf, property } from 'fast-check';
import { parse, type TomlTable } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { adoptedBy, includesOf, withoutTasks, withTasks } from '../../../lib/adopt/local-file.ts';
import { refusalOf } from '../../support/task-errors.ts';

const PATH = '/checkout/mise.local.toml';
const OURS = { suite: '/clone "a"\n', tasksFile: '/clone "a"\n/tasks.toml' };
const UPSTREAM = ['tasks/*.toml'];

const adopted = (text: string | undefined, ours = OURS) => withTasks(PATH, text, UPSTREAM, ours);

/** Adopts, and sees that nothing else has changed and that every byte comes back. */
function expectAdopted(before: string | undefined, includes: readonly string[]): string {
  const after = adopted(before);
  const [old, now] = [parse(before ?? ''), parse(after)];
  expect(includesOf(now)).toEqual([...includes, OURS.tasksFile]);
  for (const table of [old, now]) delete (table.task_config as TomlTable | undefined)?.includes;
  expect({ task_config: {}, ...now }).toEqual({ task_config: {}, ...old });
  expect(withoutTasks(PATH, after)).toBe(before);
  expect(adopted(after), 'again').toBe(after);
  expect(adoptedBy(after)).toBe(OURS.suite);
  return after;
}

describe('ADP-2: what is there stays, and comes back', () => {
  test.each([
    ['no file', undefined],
    ['an empty file', ''],
    ['no line break at the end', '[env]\nA = "1"'],
    ['settings', '# mine\n\n[env]\nA = "1"\n'],
    ['blank lines at the end', '[env]\nA = "1"\n\n\n'],
    ['line breaks of Windows', '[env]\r\nA = "1"\r\n'],
    ['the table without includes', '[task_config]\ndir = "x"\n\n[env]\nA = "1"\n'],
    ['the table last', '[env]\nA = "1"\n[ task_config ] # mine'],
    ['the table in a text', '[env]\nA = """\n[task_config]\nincludes = ["no"]\n"""\n'],
    ['a key of the table', 'task_config.dir = "x"\ntask_config.includes = ["tasks/*.toml"]\n[env]\nA = "1"\n'],
  ])('%s', (_, before) => {
    expectAdopted(before, UPSTREAM);
  });

  test.each([
    ['on one line', '[task_config]\nincludes = ["mine"] # because\ndir = "x"\n'],
    ['on several lines', '[env]\nA = "1"\n[task_config]\n  includes = [\n  "mine", # one\n]\n[tasks.x]\nrun = "y"\n'],
    ['without a line break', '[task_config]\nincludes = ["mine"]'],
    ['with line breaks of Windows', '[task_config]\r\nincludes = [\r\n"mine"]\r\n'],
    ['dotted', 'task_config . includes = ["mine"]\n'],
  ])("the user's own includes %s are kept before ours", (_, before) => {
    expectAdopted(before, ['mine']);
  });

  test('any file of such lines', () => {
    const line = constantFrom(
      '',
      '# c',
      '[env]',
      '[task_config]',
      'includes = ["mine"]',
      'includes = [',
      ']',
      'a = 1',
      'b = """',
      '"""',
      '\r',
    );
    const result = check(
      property(listOf(line, { maxLength: 9 }), (lines) => {
        const before = lines.join('\n');
        let after: string;
        try {
          after = adopted(before);
        } catch {
          return;
        }
        expect(withoutTasks(PATH, after)).toBe(before);
        expect(includesOf(parse(after))?.at(-1)).toBe(OURS.tasksFile);
      }),
      { numRuns: 3000 },
    );
    expect(result.failed, String(result.counterexample)).toBe(false);
  });

  test('what the user changes after that stays when it is undone', () => {
    const after = adopted('[env]\nA = "1"\n');
    expect(withoutTasks(PATH, `# new\n${after}[tasks.x]\nrun = "y"\n`)).toBe(
      '# new\n[env]\nA = "1"\n\n[tasks.x]\nrun = "y"\n',
    );
  });

  test('another clone takes its place, and undoing still restores', () => {
    const before = '[task_config]\nincludes = ["mine"]\n';
    const after = adopted(adopted(before, { suite: '/other', tasksFile: '/other/tasks.toml' }));
    expect(after).not.toContain('/other');
    expect(withoutTasks(PATH, after)).toBe(before);
  });
});

test('what is not adopted is left alone', () => {
  expect(withoutTasks(PATH, '[env]\n')).toBe('[env]\n');
  expect(withoutTasks(PATH, undefined)).toBeUndefined();
  expect([adoptedBy(undefined), adoptedBy('# x\n')]).toEqual([undefined, undefined]);
});

describe('refused, with the next step', () => {
  test.each([
    ['not TOML', '[env\n', 'cannot be read as TOML (Invalid TOML document'],
    ['an inline table', 'task_config = { includes = ["mine"] }\n', 'sets includes in an unusual way; put "/clone'],
  ])('%s', (_, text, message) => {
    expect(refusalOf(() => adopted(text))).toContain(`${PATH} ${message}`);
  });

  test('a block without its end', () => {
    const text = adopted(undefined).replace(/^# <<<.*\n/m, '');
    expect(refusalOf(() => withoutTasks(PATH, text))).toContain('has no line "# <<< openshell-tasks" any more');
  });
});
