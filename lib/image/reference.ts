// SPDX-License-Identifier: Apache-2.0

/** Names of images, by the grammar of https://github.com/distribution/reference. */

import { notAllowed } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';

const TAG_TEXT = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const TAG = new RegExp(`^${TAG_TEXT}$`);
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const HOST =
  '(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?';
const REGISTRY = new RegExp(`^(?:${HOST}|${COMPONENT})(?:/${COMPONENT})*$`);
const REFERENCE = new RegExp(`^(?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*(?::${TAG_TEXT})?$`);

const DIGEST = /@sha256:[0-9a-f]{64}$/;

/** @throws usageError naming the variable unless it is a tag */
export function verifyTag(source: string, tag: string): string {
  if (TAG.test(tag)) return tag;
  throw notAllowed(source, tag, "are up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'");
}

/** @throws usageError unless it is a registry with an optional path, such as `ghcr.io/org` or `127.0.0.1:5000` */
export function verifyRegistry(source: string, registry: string | undefined): string | undefined {
  if (registry === undefined || REGISTRY.test(registry)) return registry;
  throw notAllowed(source, registry, 'is HOST[:PORT][/PATH] in lower case, without a scheme, such as ghcr.io/org');
}

/** @throws usageError unless it is a whole reference, such as `ghcr.io/org/name:tag`, perhaps with a digest */
export function verifyReference(source: string, reference: string, takesDigest = false): string {
  if (REFERENCE.test(takesDigest ? reference.replace(DIGEST, '') : reference)) return reference;
  const form = `[HOST[:PORT]/]NAME[:TAG]${takesDigest ? '[@sha256:DIGEST]' : ''}`;
  throw usageError(`${source} is ${shown(reference)}; allowed is ${form} with a name in lower case; change it`);
}
