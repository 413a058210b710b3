// SPDX-License-Identifier: Apache-2.0

/** Names of variables that no task reads, and that are nearly the name of one that some task does. Pure. */

import { VARIABLES } from './variables.ts';

/** Shorter names are near to those of other programs (GITLAB_TOKEN): one slip is all that counts in them. */
const LONG_NAME = 16;
/** Other programs' names often differ in the first letters alone (LD_LIBRARY_PATH), and slips are rarely there. */
const SAME_LETTERS = 3;
/** What GitHub's jobs, pods and other tools have set is nobody's slip. */
const OF_OTHERS = ['GITHUB_ACTION', 'GITHUB_PATH', 'KUBERNETES_SERVICE_PORT', 'KUBE_CONFIG'];

/** Each name with the nearest one that is read. */
export function misspelt(names: readonly string[]): { readonly name: string; readonly meant: string }[] {
  return names
    .filter((name) => name.length > SAME_LETTERS && !Object.hasOwn(VARIABLES, name) && !OF_OTHERS.includes(name))
    .flatMap((name) => {
      const upper = name.toUpperCase();
      const alike = Object.keys(VARIABLES).filter((one) => one.startsWith(upper.slice(0, SAME_LETTERS)));
      const within = (slips: number) => alike.find((one) => isNear(upper, one, slips));
      const meant = within(0) ?? within(1) ?? (name.length < LONG_NAME ? undefined : within(2));
      return meant === undefined ? [] : [{ name, meant }];
    });
}

/** Whether so many letters that are missing, added, changed or exchanged with the next one make one text the other. */
function isNear(one: string, other: string, slips: number): boolean {
  if (one === other) return true;
  if (slips === 0) return false;
  let at = 0;
  while (one[at] === other[at]) at++;
  const [a, b, rest] = [one.slice(at), other.slice(at), slips - 1];
  if (a[0] === b[1] && a[1] === b[0] && isNear(a.slice(2), b.slice(2), rest)) return true;
  return isNear(a.slice(1), b, rest) || isNear(a, b.slice(1), rest) || isNear(a.slice(1), b.slice(1), rest);
}
