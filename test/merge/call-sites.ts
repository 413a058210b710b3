// SPDX-License-Identifier: Apache-2.0

/** The call sites outside the TOML files: workflows, skaffold, and prose. Pure: texts in, texts out. */

import { basename } from 'node:path';
import { byBareName, byPath, HOME, INSTALL, REPLACED, replacementIn, rewriteCalls } from './scripts.ts';

/** Prose and comments: the new path in place of the old one, the new name in place of a bare one. */
export function rewriteProse(text: string): string {
  return REPLACED.reduce((result, script) => {
    const path = replacementIn(script);
    return result.replace(byPath(script), `$1${path}`).replace(byBareName(script), basename(path));
  }, text);
}

/** The comments of a script that stays; what it calls, it calls by path. */
export function rewriteComments(text: string): string {
  return text.replace(/^\s*#.*$/gm, rewriteProse);
}

/** What Skaffold watches; it still calls the script, because it may be started without mise. */
export function rewriteSkaffold(text: string): string {
  return watched(text, [`${HOME}/lib/**`, `${HOME}/tasks/**`]);
}

/**
 * A workflow: cache keys and path filters follow the suite, and each job that calls a task has Node and the
 * dependencies first.
 * @param all the texts of all workflows, for the pinned setup-node
 */
export function rewriteWorkflow(text: string, all: readonly string[]): string {
  const calls = watched(text, [`${HOME}/**`])
    .split('\n')
    .map((line) => (/^\s*#/.test(line) ? rewriteProse(line) : rewriteCommand(line)))
    .join('\n');
  const setup = /uses: actions\/setup-node@.*$/m.exec(all.join('\n'))?.[0];
  return prepareJobs(calls, setup ?? 'uses: actions/setup-node@v6');
}

/** A `- path` of a list becomes these; once for each list. */
function watched(text: string, globs: readonly string[]): string {
  const isScript = (path: string) => REPLACED.includes(path);
  let done = false;
  return text
    .split('\n')
    .flatMap((line) => {
      const [, lead = '', quote = '', path = ''] = /^(\s*- )(["']?)([\w./-]+)\2$/.exec(line) ?? [];
      if (!/^\s*- /.test(line)) done = false;
      if (!isScript(path)) return [line];
      const lines = done ? [] : globs.map((glob) => `${lead}${quote}${glob}${quote}`);
      done = true;
      return lines;
    })
    .join('\n');
}

function rewriteCommand(line: string): string {
  const keyed = line.replace(/hashFiles\([^)]*\)/g, (key) =>
    REPLACED.reduce((text, script) => {
      return text.replaceAll(`'${script}'`, `'${replacementIn(script)}', '${HOME}/lib/**'`);
    }, key),
  );
  return /^\s*paths(-ignore)?: *\[/.test(line) ? rewriteProse(keyed) : rewriteCalls(keyed);
}

/** Puts the steps before the first one of each job that starts a task, directly or in a mise task without its own. */
function prepareJobs(text: string, setup: string): string {
  return text
    .split(/^(?= {2}[\w-]+:\s*$)/m)
    .map((job) => {
      const [before, ...steps] = job.split(/^(?= {6}- )/m);
      const at = steps.findIndex((step) => startsTask(step, job));
      if (at < 0) return job;
      const node = /^ {4}container:/m.test(job) || !job.includes(`node ${HOME}`) ? '' : setupStep(setup);
      const install = `      - name: Install the dependencies of the tasks\n        run: ${INSTALL}\n\n`;
      return [before, ...steps.slice(0, at), node, install, ...steps.slice(at)].join('');
    })
    .join('');
}

/** `--skip-deps` skips the installation, and the harness of the end-to-end tests calls tasks by path. */
function startsTask(step: string, job: string): boolean {
  if (step.includes(`node ${HOME}/`) || /mise run .*--skip-deps.* ["$]*(e2e:|E2E_)/.test(step)) return true;
  return /run: \$\{\{ matrix\.cmd \}\}/.test(step) && /mise run .*--skip-deps e2e:/.test(job);
}

function setupStep(setup: string): string {
  return `      - name: Set up Node\n        ${setup}\n        with:\n          node-version: "24"\n\n`;
}
