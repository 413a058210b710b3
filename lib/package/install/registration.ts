// SPDX-License-Identifier: Apache-2.0

/** What the CLI knows of an earlier installation's gateway: it takes no second one of that name. */

import { lstatSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { textIn } from '../../fs/paths.ts';
import { activePath, metadataPath } from '../../gateway/registration.ts';
import { DEB } from '../../product.ts';

/** Beside the entry, for a gateway that is no more; the certificates stay. */
const TOKENS = ['edge_token', 'cf_token', 'oidc_token.json'];

export interface Registration {
  /** Of the CLI, absolute. */
  readonly configHome: string;
  /** What is removed: the entry, its tokens, and the mark that it is the active one; empty without an entry. */
  readonly files: readonly string[];
}

/** Looks for an earlier registration. */
export function findRegistration(configHome: string): Registration {
  const entry = metadataPath(configHome, DEB.gateway);
  if (statSync(entry, { throwIfNoEntry: false })?.isFile() !== true) return { configHome, files: [] };
  const active = activePath(configHome);
  const isActive = textIn(active)?.replace(/\n+$/, '') === DEB.gateway;
  const tokens = TOKENS.map((name) => join(dirname(entry), name));
  const files = [entry, ...tokens, ...(isActive ? [active] : [])];
  return { configHome, files: files.filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined) };
}

/**
 * Removes an earlier registration while a body makes a new one; where that fails, the earlier one is put back.
 * @throws what the body throws
 */
export async function replaceRegistration({ files }: Registration, body: () => Promise<void>): Promise<void> {
  const removed = new Map<string, string>();
  try {
    for (const path of files) {
      const text = textIn(path);
      asOwner(path, () => rmSync(path));
      if (text !== undefined) removed.set(path, text);
    }
    await body();
  } catch (error) {
    for (const [path, text] of removed) {
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) writeWhole(path, text, 0o600);
    }
    throw error;
  }
}
