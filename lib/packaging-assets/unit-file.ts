// SPDX-License-Identifier: Apache-2.0

/** The keys of a unit file (systemd.syntax(7)), and the unit that an RPM spec writes. */

import { failure } from '../errors.ts';

export type Entry = readonly [key: string, value: string];

/** A section's entries, in their order; a line that ends with a backslash goes on in the next one. */
export function entriesOf(text: string, section: string): Entry[] {
  const entries: Entry[] = [];
  let [current, open] = ['', ''];
  for (const raw of text.split('\n')) {
    if (/^\s*[#;]/.test(raw)) continue;
    const line = `${open}${raw.trim()}`;
    open = line.endsWith('\\') ? `${line.slice(0, -1)} ` : '';
    if (open !== '') continue;
    current = /^\[(.*)\]$/.exec(line)?.[1] ?? current;
    const [, key, value] = /^([^=[]+?)\s*=\s*(.*)$/.exec(line) ?? [];
    if (current === section && key !== undefined && value !== undefined) entries.push([key, value]);
  }
  return entries;
}

/** The values of a key that can be there several times; an empty one takes those before it back. */
export function valuesOf(entries: readonly Entry[], key: string): string[] {
  const values = entries.flatMap(([name, value]) => (name === key ? [value] : []));
  return values.slice(values.lastIndexOf('') + 1);
}

/**
 * The unit of the gateway that a spec writes. The here-document's delimiter has to be quoted: the shell would expand the
 * unit's variables.
 * @throws failure where there is none
 */
export function unitInSpec(spec: string): string {
  const unit = /^(?!\s*#)(?=.*-gateway\.service\b).*<<-?\s*(['"])(\w+)\1.*\n([\s\S]*?)^\s*\2\s*$/m.exec(spec)?.[3];
  if (unit !== undefined) return unit;
  throw failure('writes no unit of the gateway from a here-document with a quoted delimiter; add one');
}
