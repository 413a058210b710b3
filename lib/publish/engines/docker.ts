// SPDX-License-Identifier: Apache-2.0

/** Publishing with buildx: one build pushes all platforms by their digest, and imagetools sets tags in the registry. */

import { join } from 'node:path';
import { DOCKER } from '../../engine/docker.ts';
import { parseTable } from '../../fs/json.ts';
import {
  indexSlot,
  listedImages,
  type PublishedImage,
  type PublishedReference,
  type Publishing,
  type PublishStep,
  platformText,
  type Reading,
} from './types.ts';

export const DOCKER_PUBLISHING: Publishing = {
  build: (image) => [buildStep(image)],
  platformReferences: () => [],
  assemble: () => [],
  tag: tagReference,
  localNames: () => [],
  removal: () => [],
  leftovers: undefined,
  reading: (reference, { program, builder, isIndex }) => {
    const format = isIndex ? '{{json .Manifest}}' : '{{json .}}';
    const words = ['buildx', 'imagetools', 'inspect', ...builderWords(builder), '--format', format, reference];
    return { commands: [[program, ...words]], leaves: [], parse: isIndex ? parseManifest : parseImage };
  },
  builderCreation: (name) => ['buildx', 'create', '--name', name, '--driver', 'docker-container', '--bootstrap'],
};

/**
 * No tag, and pushed under the digest alone. Times of files and of the image are given, so that the
 * same content has the same digest whatever the builder still has in its cache.
 */
function buildStep(image: PublishedImage): PublishStep {
  const file = join(image.scratch, `${image.name}.json`);
  const output = `type=image,name=${image.repository},push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true`;
  const [words = []] = DOCKER.buildCommands({
    ...image.build,
    tags: [],
    platforms: image.platforms,
    extra: ['--build-arg', `SOURCE_DATE_EPOCH=${image.epoch}`, ...image.build.extra, '--metadata-file', file],
    output: { kind: 'output', value: output },
  });
  return { words, gives: { file, slot: indexSlot(image), read: pushedDigest } };
}

/** The digest in buildx's metadata file. */
function pushedDigest(text: string): string | undefined {
  const digest = parseTable(text)?.['containerimage.digest'];
  return typeof digest === 'string' ? digest : undefined;
}

/** Without `--prefer-index=false` a single image would be wrapped, and get another digest than the one that was pushed. */
function tagReference(image: PublishedImage, tag: string): PublishedReference {
  const reference = `${image.repository}:${tag}`;
  const slot = indexSlot(image);
  const words = ['buildx', 'imagetools', 'create', ...builderWords(image.build.builder), '--prefer-index=false'];
  return {
    reference,
    slot,
    platforms: image.platforms,
    step: { words: [...words, '-t', reference, { lead: `${image.repository}@`, slot }] },
  };
}

function builderWords(builder: string | undefined): string[] {
  return builder === undefined ? [] : ['--builder', builder];
}

function parseManifest(text: string): Reading | undefined {
  const manifest = parseTable(text);
  if (typeof manifest?.digest !== 'string') return undefined;
  const images = listedImages(manifest.manifests);
  const alone = [{ platform: undefined, digest: manifest.digest }];
  return { digest: manifest.digest, images: Array.isArray(manifest.manifests) ? images : alone };
}

/** An image that may stand alone: its platform is in its configuration. */
function parseImage(text: string): Reading | undefined {
  const whole = parseTable(text);
  const reading = parseManifest(JSON.stringify(whole?.manifest ?? null));
  const platform = platformText(whole?.image as Record<string, unknown> | undefined);
  return (
    reading && { ...reading, images: reading.images.map((one) => ({ ...one, platform: one.platform ?? platform })) }
  );
}
