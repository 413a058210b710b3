// SPDX-License-Identifier: Apache-2.0

/**
 * What publishing asks of an engine. Content goes first, and moves no tag that users use: an image
 * is built without a name, its content is pushed, and the registry's digest of it is all that later
 * steps know it by. So no image that happens to have the same name can take its place.
 */

import type { ImageBuild } from '../../engine/types.ts';

/** Something that is known only when an earlier step has run, with the text before it: `registry/name@` and a digest. */
export interface Slot {
  readonly lead: string;
  readonly slot: string;
}

/** A word of a command that is planned before everything in it is known. */
export type Word = string | Slot;

/** A command of a publish, as words behind the program's name. */
export interface PublishStep {
  readonly words: readonly Word[];
  /** What it says in a file, the slot that this fills, and how the file is read. */
  readonly gives?: {
    readonly file: string;
    readonly slot: string;
    readonly read: (text: string) => string | undefined;
  };
}

/** An image on its way: one component for all its platforms. */
export interface PublishedImage {
  /** The component's name, for slots and files. */
  readonly name: string;
  /** `registry/name`, without a tag. */
  readonly repository: string;
  /** The first tag; others that the engine makes are derived from it. */
  readonly tag: string;
  readonly platforms: readonly string[];
  /** What to build; tags, output and platforms are the engine's to add. */
  readonly build: Omit<ImageBuild, 'tags' | 'output' | 'platforms'>;
  /** The time that everything in the image bears, in seconds since 1970. */
  readonly epoch: number;
  /** A directory for files of this run. */
  readonly scratch: string;
  /** A word that no other run has, for names on this machine. */
  readonly run: string;
}

/** A reference of the registry that a step sets, and the slot of the digest that it is set to. */
export interface PublishedReference {
  readonly reference: string;
  readonly slot: string;
  readonly platforms: readonly string[];
  readonly step: PublishStep;
}

/** An image of an index, as the registry has it. */
export interface PlatformImage {
  /** `linux/amd64`; undefined where an image stands alone and does not say. */
  readonly platform: string | undefined;
  readonly digest: string;
}

/** What a reference of a registry points at. */
export interface Reading {
  /** Undefined where the engine's tools do not tell it. */
  readonly digest: string | undefined;
  readonly images: readonly PlatformImage[];
}

/** How a reference is read: the commands, of which the last one answers, and what they leave on this machine. */
export interface ReadingPlan {
  readonly commands: readonly (readonly [string, ...string[]])[];
  readonly leaves: readonly string[];
  /** @returns `undefined` for text that is no manifest */
  readonly parse: (text: string) => Reading | undefined;
}

/** What the reading of a reference depends on. */
export interface ReadingFacts {
  readonly program: string;
  readonly builder: string | undefined;
  readonly hasSkopeo: boolean;
  readonly isIndex: boolean;
  /** A name on this machine that nobody else uses. */
  readonly localName: string;
}

/** How an engine publishes. */
export interface Publishing {
  /** Builds all of an image. Moves no reference of the registry. */
  build(image: PublishedImage): readonly PublishStep[];
  /** Pushes the image of each platform under a tag of its own; empty where content is pushed without tags. */
  platformReferences(image: PublishedImage): readonly PublishedReference[];
  /** Makes what the tags are set to, from digests alone. */
  assemble(image: PublishedImage): readonly PublishStep[];
  /** Sets a tag. */
  tag(image: PublishedImage, tag: string): PublishedReference;
  /** The names on this machine that `assemble` makes. */
  localNames(image: PublishedImage): readonly string[];
  /** The words that remove names on this machine. */
  removal(names: readonly string[]): readonly string[];
  /** The question for names that runs have left on this machine, one a line; `undefined` where runs leave none. */
  readonly leftovers: readonly string[] | undefined;
  reading(reference: string, facts: ReadingFacts): ReadingPlan;
  /** The words that make a builder, without making it the user's current one; `undefined` where there are no builders. */
  builderCreation(name: string): readonly string[] | undefined;
}

/** The slot of what all platforms of a component are published as. */
export function indexSlot(image: PublishedImage): string {
  return `digest of ${image.name}`;
}

/** The text of a file that holds nothing but an id or a digest. */
export function digestText(text: string): string | undefined {
  return /^\s*(sha256:[0-9a-f]{64})\s*$/.exec(text)?.[1];
}

/** Reads a manifest that lists images; entries that are no image for a platform (attestations) are left out. */
export function listedImages(manifests: unknown): PlatformImage[] {
  if (!Array.isArray(manifests)) return [];
  return manifests.flatMap(({ digest, platform }: { digest?: unknown; platform?: Record<string, unknown> }) => {
    const isImage = platform?.os !== 'unknown' && typeof digest === 'string';
    return isImage ? [{ platform: platformText(platform), digest }] : [];
  });
}

/** A platform as `os/architecture`. */
export function platformText(platform: Readonly<Record<string, unknown>> | undefined): string | undefined {
  return platform?.os === undefined ? undefined : `${platform.os}/${platform.architecture}`;
}
