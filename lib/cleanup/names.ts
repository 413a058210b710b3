// SPDX-License-Identifier: Apache-2.0

/** Whose images and volumes are, by their names and labels; pure. Engines write the same image in several ways. */

import { PRODUCT } from '../product.ts';

/** Images of others that many projects use, and that take long to get again. */
const COSTLY = [
  ...['alpine', 'kindest', 'minio', 'pgvector', 'python', 'rancher/k3s', 'redis', 'registry', 'rust'],
  ...['ghcr.io/astral-sh/uv', 'ghcr.io/k3d-io', 'ghcr.io/nvidia/openshell-community'],
];
/** The images that builds and launches replace, below a namespace of OpenShell. */
const REPLACED = ['gateway', 'supervisor', 'ci'];
/** A registry on this machine, which holds copies of local images. */
const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|([a-z0-9-]+\.)*localhost):\d+\//;

/** The reference in its shortest form: `docker.io/library/x` and `localhost/x` are `x`. */
export function shortName(reference: string): string {
  return reference.replace(/^((index\.)?docker\.io|localhost)\//, '').replace(/^library\//, '');
}

function withoutTag(name: string): string {
  return name.replace(/(:[^:/@]*)?(@.*)?$/, '');
}

/** The tag of a reference; empty where it has none. */
export function tagOf(reference: string): string {
  return /^[^@]*:([^:/@]+)(@.*)?$/.exec(reference)?.[1] ?? '';
}

export function isOwnImage(reference: string): boolean {
  return ownName(reference) !== undefined;
}

/** The name below a namespace of OpenShell, with its tag. */
function ownName(reference: string): string | undefined {
  const name = shortName(reference).replace(LOOPBACK, '');
  const namespace = PRODUCT.imageNamespaces.find((one) => name.startsWith(`${one}/`));
  return namespace && name.slice(namespace.length + 1);
}

/** Whether builds and launches replace it: others, such as those of workloads, are current under any tag. */
export function isReplacedImage(reference: string): boolean {
  return REPLACED.includes(withoutTag(ownName(reference) ?? ''));
}

export function isCostlyImage(reference: string): boolean {
  return COSTLY.some((name) => `${withoutTag(shortName(reference))}/`.startsWith(`${name}/`));
}

export function hasOwnLabel(labels: readonly string[]): boolean {
  return labels.some((label) => PRODUCT.labelPrefixes.some((prefix) => label.startsWith(prefix)));
}

export function isOwnVolume(name: string, labels: readonly string[]): boolean {
  return hasOwnLabel(labels) || /^openshell([-_.]|$)/.test(name);
}
