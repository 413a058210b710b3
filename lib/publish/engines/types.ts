// SPDX-License-Identifier: Apache-2.0

/**
 * What publishing needs from an engine. Content goes first and sets no tag that users pull: an image is built without a
 * name, its content is pushed, and from then on it is known by the registry's digest alone. So no image that happens to
 * have the same name can take its place.
 */

import type { ImageBuild } from '../../engine/types.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';

/** An image to publish: one component for all its platforms. */
export interface PublishedImage {
  readonly component: string;
  /** `registry/name`, without a tag. */
  readonly repository: string;
  readonly mainTag: string;
  readonly platforms: readonly string[];
  /** What to build; the engine adds tags, output and platforms. */
  readonly build: Omit<ImageBuild, 'tags' | 'output' | 'platforms'>;
  /** The time that everything in the image bears, in seconds since 1970. */
  readonly epoch: number;
  /** The name of the run. */
  readonly run: string;
}

/** What a reference of a registry points at, or is to point at. */
export interface Content {
  /** `undefined` where it is not known: podman learns the digest of an index when it pushes it. */
  readonly digest: string | undefined;
  /** The images of the platforms; a platform is `undefined` where an image stands alone and does not say. */
  readonly images: readonly { readonly platform: string | undefined; readonly digest: string }[];
}

/** A reference of the registry that was set, or was right already. */
export interface Published {
  readonly component: string;
  readonly reference: string;
  readonly platforms: readonly string[];
  readonly content: Content;
}

/** Starts the engine's program; that of a dry run prints the command instead, and gives `<digest of gateway>`. */
export interface EngineCommands {
  /** @param sets the reference of the registry that the command sets */
  run(args: readonly string[], sets?: string): Promise<void>;
  /** Runs a command that leaves an id or a digest in a file, named after `what` it is, and gives that. */
  runFor(what: string, args: (file: string) => readonly string[], sets?: string): Promise<string>;
}

/** Pushes what was built and is not in the registry yet. */
export type PushContent = () => Promise<PushedImage>;

/** An image whose content is in the registry. */
export interface PushedImage {
  readonly image: PublishedImage;
  readonly content: Content;
  /** The references of single platforms that the content was pushed under. */
  readonly platforms: readonly Published[];
  /** Sets a tag, from digests alone, and gives the digest that it then points at. */
  setTag(tag: string): Promise<string>;
}

/** How an engine publishes. */
export interface Publishing {
  /** Builds all platforms, and sets no reference of the registry. */
  build(engine: EngineCommands, image: PublishedImage): Promise<PushContent>;
  /** The tags under which the images of single platforms are pushed. */
  platformTags(image: PublishedImage): readonly string[];
  reading(reference: string, facts: ReadingFacts): Reading;
  /** The arguments that list what runs have left in the engine's storage, a name a line, and that remove such names. */
  readonly leftovers: { readonly list: readonly string[]; readonly remove: readonly string[] } | undefined;
}

/** What the reading of a reference depends on. */
export interface ReadingFacts {
  readonly program: string;
  readonly builder: string | undefined;
  readonly hasSkopeo: boolean;
  /** The end of a name on this machine, which no other one has. */
  readonly localName: string;
}

/** Commands that read a reference; what the last one prints is parsed, to `undefined` where it is not a manifest. */
export interface Reading {
  readonly commands: readonly (readonly string[])[];
  readonly parse: (text: string) => Content | undefined;
}

/** The content of a manifest, without entries that are not for a platform; `undefined` for text that is not one. */
export function contentIn(text: string, digest: string | undefined): Content | undefined {
  const manifest = parseTable(text);
  if (manifest === undefined) return undefined;
  const entries = Array.isArray(manifest.manifests) ? manifest.manifests : [{ digest }];
  const images = entries.filter(isTable).flatMap(({ digest, platform }) => {
    const { architecture, os } = isTable(platform) ? platform : {};
    if (typeof digest !== 'string' || os === 'unknown') return [];
    return [{ digest, platform: os === undefined ? undefined : `${os}/${architecture}` }];
  });
  return { digest, images };
}

/** Whether two contents are the same: by the digest where both know it, else by their images, in any order. */
export function isSameContent(one: Content, other: Content): boolean {
  if (one.digest !== undefined && other.digest !== undefined) return one.digest === other.digest;
  // A platform that is not known fits any.
  const isAmongOthers = ({ digest, platform }: Content['images'][number]) =>
    other.images.some(
      (image) => image.digest === digest && (image.platform ?? platform) === (platform ?? image.platform),
    );
  return one.images.length === other.images.length && one.images.every(isAmongOthers);
}
