// SPDX-License-Identifier: Apache-2.0

/** What a registry really holds, read over its own interface and not through any engine. */

import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';

const ACCEPTED = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export interface Descriptor {
  readonly digest: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

export interface Manifest {
  /** The hash of the bytes that the registry sent. */
  readonly digest: string;
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
}

/** A repository of a registry on loopback, without TLS. */
export class Repository {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(host: string, name: string, login?: { readonly user: string; readonly password: string }) {
    this.#base = `http://${host}/v2/${name}`;
    this.#headers =
      login === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}` };
  }

  /** @returns `undefined` for a tag or digest that does not exist */
  async manifest(reference: string): Promise<Manifest | undefined> {
    const headers = { ...this.#headers, accept: ACCEPTED };
    const response = await fetch(`${this.#base}/manifests/${reference}`, { headers });
    if (response.status === 404) return undefined;
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok) throw new Error(`${reference}: ${response.status} ${bytes}`);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    return { ...JSON.parse(bytes.toString()), digest };
  }

  async digest(tag: string): Promise<string | undefined> {
    return (await this.manifest(tag))?.digest;
  }

  /** The bytes of a file in the layers of the image for a platform. */
  async file(reference: string, architecture: string, path: string): Promise<Buffer> {
    const index = await this.manifest(reference);
    const entry = index?.manifests?.find(({ platform }) => platform?.architecture === architecture);
    const image = entry && (await this.manifest(entry.digest));
    for (const { digest } of image?.layers ?? []) {
      const response = await fetch(`${this.#base}/blobs/${digest}`, { headers: this.#headers });
      const found = fileInTar(gunzipSync(Buffer.from(await response.arrayBuffer())), path);
      if (found !== undefined) return found;
    }
    throw new Error(`${reference} for ${architecture} has no ${path}`);
  }
}

/** A file of a tar archive; names of 100 bytes at most. */
function fileInTar(tar: Buffer, path: string): Buffer | undefined {
  for (let at = 0; at + 512 <= tar.length; ) {
    const text = (from: number, length: number) =>
      tar.toString('latin1', at + from, at + from + length).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12), 8) || 0;
    if (text(0, 100) === path) return tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return undefined;
}
