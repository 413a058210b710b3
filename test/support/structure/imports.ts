// SPDX-License-Identifier: Apache-2.0

/** The checks of who imports whom: no circles, nothing deferred without need, and tasks that name the runner. */

import { filesBelow, type Import, importsOf } from './source.ts';

const RUNNER = 'lib/build-env.ts';
/** Packages that cost a start some milliseconds and that many runs do not need; the last is missing on odd systems. */
const DEFERRED_PACKAGES = ['minimist', 'zx/core', 'smol-toml', 'fs-ext-extra-prebuilt', 'tar', 'node:http'];

/** Entries of other tasks that a module of lib/ starts late, and why. */
const DEFERRED_ENTRIES: Readonly<Record<string, { readonly entry: string; readonly reason: string }>> = {
  'lib/gateway/drivers/vm.ts': {
    entry: 'lib/vm/runtime/setup.ts',
    reason: 'a launch whose runtime is there does without what downloads and stages one, as vm:setup does',
  },
};

/** Circles of imports, each once; an import of types closes a circle too. */
export function checkCircles(root: string): string[] {
  const imports = importsOf(root);
  const circles = new Map<string, string>();
  for (const first of imports) {
    if (first.target === undefined) continue;
    const wayBack = shortestWay(imports, first.target, first.from);
    if (wayBack === undefined) continue;
    const key = [...wayBack].sort().join();
    const chain = [first.from, ...wayBack].join(' → ');
    if (!circles.has(key)) {
      circles.set(
        key,
        `${first.from}:${first.line}: circle of imports: ${chain}; move what both need to a module below`,
      );
    }
  }
  return [...circles.values()];
}

/** The files from one to another along imports, both included. */
function shortestWay(imports: readonly Import[], from: string, to: string): string[] | undefined {
  const ways = [[from]];
  const seen = new Set([from]);
  for (const way of ways) {
    const last = way.at(-1);
    if (last === to) return way;
    for (const { target } of imports.filter((one) => one.from === last)) {
      if (target === undefined || seen.has(target)) continue;
      seen.add(target);
      ways.push([...way, target]);
    }
  }
  return undefined;
}

/** Every `import()` that is neither a task's of its entry nor of what may wait. */
export function checkDeferred(root: string): string[] {
  return importsOf(root)
    .filter(({ kind }) => kind === 'deferred')
    .filter(({ from, module, target }) =>
      from.startsWith('tasks/') ? !target?.startsWith('lib/') : !DEFERRED_PACKAGES.includes(module),
    )
    .filter(({ from, target }) => target === undefined || DEFERRED_ENTRIES[from]?.entry !== target)
    .map(
      ({ from, line, module }) =>
        `${from}:${line}: import() of '${module}'; import it at the top: what may wait is a task's entry in lib/, ` +
        `and ${DEFERRED_PACKAGES.join(', ')} in lib/`,
    );
}

/** Tasks that start programs and do not import the runner's module themselves. */
export function checkRunnerImports(root: string): string[] {
  const imports = importsOf(root);
  const takesRunner = new Set(imports.filter(({ target }) => target === RUNNER).map(({ from }) => from));
  return filesBelow(root, ['tasks'])
    .filter((task) => !imports.some((one) => one.from === task && one.target === RUNNER && one.kind !== 'type'))
    .flatMap((task) => {
      const user = loadedBy(imports, task).find((path) => path !== task && takesRunner.has(path));
      if (user === undefined) return [];
      return [`${task}:1: ${user} takes a runner, and the task does not import ${RUNNER}; import it by name`];
    });
}

/** All files that a task loads, itself included. */
function loadedBy(imports: readonly Import[], task: string): string[] {
  const loaded = [task];
  for (const path of loaded) {
    for (const { target } of imports.filter((one) => one.from === path && one.kind !== 'type')) {
      if (target !== undefined && !loaded.includes(target)) loaded.push(target);
    }
  }
  return loaded;
}
