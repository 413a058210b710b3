// SPDX-License-Identifier: Apache-2.0

/** What becomes of each bash script: where the suite goes, which scripts stay, and how a text names one. */

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { SUITE_ROOT } from '../../lib/checkout.ts';
import { replacementOf, SCRIPTS } from '../support/replaced-scripts.ts';

/** Where the suite goes. Not below `tasks/`: that is copied into the CI image, and each change of it builds the image. */
export const HOME = 'tools/openshell-tasks';

export const INSTALL = `npm ci --omit=dev --no-audit --no-fund --silent --prefix ${HOME}`;

/** A program of the snap, which has no Node: the file keeps its path, and ours writes it. */
export const RENDERED = 'tasks/scripts/snap-gateway-wrapper.sh';

/** Scripts that others source, and the test of one: they stay until those are ported. */
export const STAYING = ['build-env', 'container-engine', 'test-build-env'].map((name) => `tasks/scripts/${name}.sh`);

/** A file that names a removed script and may: its text is data, not a call. */
export const MAY_NAME: Readonly<Record<string, string>> = {
  'scripts/agents/gator/bin/review_feedback_ledger_test.sh': 'the path of a file in the sample of a review',
};

/** The scripts whose callers get ours: those that this suite has a replacement for. */
export const REPLACED = SCRIPTS.filter(
  (script) => script !== RENDERED && !STAYING.includes(script) && existsSync(join(SUITE_ROOT, replacementOf(script))),
);

/** The file that takes the place of a script, relative to the checkout. */
export const replacementIn = (script: string) => `${HOME}/${replacementOf(script)}`;

const escaped = (text: string) => text.replaceAll('.', '[.]');

/** Finds a script by its path in the checkout; the group is what leads to the top of it, as in a link of a page. */
export const byPath = (script: string) => new RegExp(`(?<![\\w./-])((?:[.]{1,2}/)*)${escaped(script)}\\b`, 'g');

/** What a command may follow: the beginning of a line or of a text, an operator, a keyword, `mise exec --`, a variable. */
const BEFORE = /(^\s*(?:- )?(?:run: )?|^\s*"|[&|;(!]\s*|\s--\s+|\b(?:then|do|else|if|exec)\s+|\s\w+=\S*\s+)/;

/** A line with its calls of scripts as calls of ours. Where a script is no command, the line keeps it, and so a shim. */
export function rewriteCalls(line: string): string {
  return REPLACED.reduce((result, script) => {
    const call = new RegExp(`${BEFORE.source}(?:(?:ba)?sh )?(?:[.]/)?${escaped(script)}(?![\\w"'-])`, 'gm');
    return result.replace(call, `$1node ${replacementIn(script)}`);
  }, line);
}

/** Finds a script by its name alone. */
export const byBareName = (script: string) => new RegExp(`(?<![\\w./-])${escaped(basename(script))}\\b`, 'g');

/** Finds a script by its name after whatever path: `"${ROOT}/tasks/scripts/x.sh"`, `./x.sh`, `x.sh`. */
export const byAnyName = (script: string) => new RegExp(`(?<![\\w.-])${escaped(basename(script))}\\b`);
