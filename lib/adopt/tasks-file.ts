// SPDX-License-Identifier: Apache-2.0

/**
 * The file of tasks that checkouts include, made from the suite's mise.toml, which is the one declaration of tasks: the
 * same names and settings, with the suite's path where mise.toml has mise's own variable, which means the checkout there.
 */

import { join } from 'node:path';
import { parse, stringify, type TomlTable } from 'smol-toml';
import { scriptQuote } from '../process/command.ts';

const SCRIPT = /\bnode "\$MISE_CONFIG_ROOT\/([^"]+)"/g;

type Declared = Readonly<Record<'env' | 'tasks', Readonly<Record<string, TomlTable>>>>;

/** The tasks, each with the files of the suite that it starts: `tasks/stage.ts`. */
export function declaredTasks(miseToml: string): ReadonlyMap<string, readonly string[]> {
  const { tasks } = parse(miseToml) as unknown as Declared;
  const files = ({ run = '' }: TomlTable) => [...String(run).matchAll(SCRIPT)].map(([, file = '']) => file);
  return new Map(Object.entries(tasks).map(([name, task]) => [name, files(task)]));
}

/** The text of the file, from that of the suite's mise.toml and the suite's absolute path. */
export function tasksFileText(miseToml: string, suite: string): string {
  const text = miseToml.replaceAll('{{config_root}}', () => JSON.stringify(suite).slice(1, -1));
  const { env: all, tasks } = parse(text) as unknown as Declared;
  const env = Object.fromEntries(Object.entries(all).filter(([, value]) => typeof value === 'string'));
  const quoted = (file: string) => scriptQuote(join(suite, file));
  // It starts the clone's own Node, else one on PATH, and says in one line where that is too old.
  const node = `env OPENSHELL_ROOT="$MISE_CONFIG_ROOT" sh ${quoted('bin/node.sh')}`;
  const adopted = Object.entries(tasks).map(([name, task]) => {
    if (task.run === undefined) return [name, task];
    const run = String(task.run).replaceAll(SCRIPT, (_, file: string) => `${node} ${quoted(file)}`);
    return [name, { ...task, run, env: { ...env, ...(task.env as TomlTable | undefined) } }];
  });
  return `# Written by adopt; changes are lost.\n\n${stringify(Object.fromEntries(adopted))}`;
}
