// SPDX-License-Identifier: Apache-2.0

/** Whose images and volumes are, by their names and labels; pure. Engines write the same image in several ways. */

import { PRODUCT } from '../product.ts';

/** Images of others that many projects use, and that take long to get again. */
const COSTLY = [
  ...['alpine', 'kindest', 'minio', 'pgvector', 'python', 'rancher/k3s', 'redis', 'registry', 'rust'],
  ...['ghcr.io/astral-sh/uv', 'ghcr.io/k3d-io', 'ghcr.io/nvidia/openshell-community'],
];
/** A registry on this machine, which holds copies of local images. */
const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|([a-z0-9-]+\.)*localhost):\d+\//;

/** The reference in its shortest form: `docker.io/library/x` and `localhost/x` are `x`. */
export function shortName(reference: string): string {
  return reference.replace(/^((index\.)?docker\.io|localhost)\//, '').replace(/^library\//, '');
}

/** The tag of a reference; empty where it has none. */
export function tagOf(reference: string): string {
  return /^[^@]*:([^:/@]+)(@.*)?$/.exec(reference)?.[1] ?? '';
}

export function isOwnImage(reference: string): boolean {
  const name = shortName(reference).replace(LOOPBACK, '');
  return PRODUCT.imageNamespaces.some((namespace) => name.startsWith(`${namespace}/`));
}

export function isCostlyImage(reference: string): boolean {
  const repository = shortName(reference).replace(/(:[^:/@]*)?(@.*)?$/, '');
  return COSTLY.some((name) => `${repository}/`.startsWith(`${name}/`));
}

export function hasOwnLabel(labels: readonly string[]): boolean {
  return labels.some((label) => PRODUCT.labelPrefixes.some((prefix) => label.startsWith(prefix)));
}

export function isOwnVolume(name: string, labels: readonly string[]): boolean {
  return hasOwnLabel(labels) || /^openshell([-_.]|$)/.test(name);
}
