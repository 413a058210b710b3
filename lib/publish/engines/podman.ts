// SPDX-License-Identifier: Apache-2.0

/**
 * Publishing with podman: each platform is built without a name and pushed by its id under the tag and
 * the platform (`dev-linux-amd64`); the index is a list of the digests that the registry then has.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { PODMAN, tlsArguments } from '../../engine/podman.ts';
import { parseTable } from '../../fs/json.ts';
import {
  digestText,
  indexSlot,
  listedImages,
  type PublishedImage,
  type PublishedReference,
  type Publishing,
  type PublishStep,
  type Reading,
} from './types.ts';

/** Names of lists on this machine. No build and no pull gives an image such a name. */
const NAMESPACE = 'localhost/openshell-publish';

export const PODMAN_PUBLISHING: Publishing = {
  build: (image) => image.platforms.map((platform) => buildStep(image, platform)),
  platformReferences: (image) => image.platforms.map((platform) => platformReference(image, platform)),
  assemble: (image) => [
    { words: ['manifest', 'create', listName(image)] },
    {
      words: [
        ...['manifest', 'add', ...tlsArguments(image.repository), listName(image)],
        ...image.platforms.map((platform) => ({
          lead: `docker://${image.repository}@`,
          slot: platformSlot(image, 'digest', platform),
        })),
      ],
    },
  ],
  tag: tagReference,
  localNames: (image) => [listName(image)],
  removal: (names) => ['manifest', 'rm', ...names],
  leftovers: ['images', '--filter', `reference=${NAMESPACE}/*`, '--format', '{{.Repository}}:{{.Tag}}'],
  reading: (reference, { program, hasSkopeo, localName }) =>
    hasSkopeo ? readBySkopeo(reference) : readByPodman(reference, program, `${NAMESPACE}/${localName}`),
  builderCreation: () => undefined,
};

/** With a time given, podman builds the same id from the same content, from its cache or not. */
function buildStep(image: PublishedImage, platform: string): PublishStep {
  const file = fileOf(image, 'id', platform);
  const [words = []] = PODMAN.buildCommands({
    ...image.build,
    tags: [],
    platforms: [platform],
    extra: ['--timestamp', String(image.epoch), ...image.build.extra, '--iidfile', file],
    output: { kind: 'load' },
  });
  return { words, gives: { file, slot: platformSlot(image, 'id', platform), read: digestText } };
}

function platformReference(image: PublishedImage, platform: string): PublishedReference {
  const reference = `${image.repository}:${image.tag}-${dashed(platform)}`;
  const file = fileOf(image, 'digest', platform);
  const slot = platformSlot(image, 'digest', platform);
  return {
    reference,
    slot,
    platforms: [platform],
    step: {
      words: [
        ...['push', ...tlsArguments(image.repository), '--digestfile', file],
        { lead: '', slot: platformSlot(image, 'id', platform) },
        `docker://${reference}`,
      ],
      gives: { file, slot, read: digestText },
    },
  };
}

/** `--all=false`: the images are in the registry already, and the list points at them by digest. */
function tagReference(image: PublishedImage, tag: string): PublishedReference {
  const reference = `${image.repository}:${tag}`;
  const file = join(image.scratch, `${image.name}.digest`);
  const slot = indexSlot(image);
  const words = ['manifest', 'push', '--all=false', ...tlsArguments(image.repository), '--digestfile', file];
  return {
    reference,
    slot,
    platforms: image.platforms,
    step: {
      words: [...words, listName(image), `docker://${reference}`],
      gives: { file, slot, read: digestText },
    },
  };
}

function listName(image: PublishedImage): string {
  return `${NAMESPACE}/${image.name}:${image.run}`;
}

function platformSlot(image: PublishedImage, what: 'id' | 'digest', platform: string): string {
  return `${what} of ${image.name} ${platform}`;
}

function fileOf(image: PublishedImage, what: 'id' | 'digest', platform: string): string {
  return join(image.scratch, `${image.name}-${dashed(platform)}.${what}`);
}

function dashed(platform: string): string {
  return platform.replaceAll('/', '-');
}

/** Skopeo gives the registry's very bytes, whose hash is the digest. */
function readBySkopeo(reference: string) {
  const words = ['inspect', '--raw', ...tlsArguments(reference), `docker://${reference}`];
  return { commands: [['skopeo', ...words]] as const, leaves: [], parse: parseRaw };
}

function parseRaw(text: string): Reading | undefined {
  const manifest = parseTable(text);
  if (manifest === undefined) return undefined;
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const alone = [{ platform: undefined, digest }];
  return { digest, images: Array.isArray(manifest.manifests) ? listedImages(manifest.manifests) : alone };
}

/**
 * Podman alone looks at the images of this machine first (`manifest inspect`), unless what the registry
 * has is added to an empty list. That list has the images and their digests, but not the digest of the index.
 */
function readByPodman(reference: string, program: string, list: string) {
  const add = ['manifest', 'add', '--all', ...tlsArguments(reference), list, `docker://${reference}`] as const;
  return {
    commands: [
      [program, 'manifest', 'create', list],
      [program, ...add],
      [program, 'manifest', 'inspect', list],
    ] as const,
    leaves: [list],
    parse: parseList,
  };
}

function parseList(text: string): Reading | undefined {
  const list = parseTable(text);
  return list && { digest: undefined, images: listedImages(list.manifests) };
}
