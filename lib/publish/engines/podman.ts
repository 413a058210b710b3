// SPDX-License-Identifier: Apache-2.0

/**
 * Publishing with podman: each platform is built without a name and pushed by its id under the tag and the platform
 * (`dev-linux-amd64`); the index is a list of the digests that the registry then has.
 */

import { createHash } from 'node:crypto';
import { PODMAN, tlsArguments } from '../../engine/podman.ts';
import {
  contentIn,
  type EngineCommands,
  type Published,
  type PublishedImage,
  type Publishing,
  type PushContent,
  type PushedImage,
  type Reading,
} from './types.ts';

/** Names of lists on this machine. No build and no pull gives an image such a name. */
const NAMESPACE = 'localhost/openshell-publish';

export const PODMAN_PUBLISHING: Publishing = {
  build,
  platformTags: ({ mainTag, platforms }) => platforms.map((platform) => platformTag(mainTag, platform)),
  reading: (reference, { program, hasSkopeo, localName }) =>
    hasSkopeo ? readBySkopeo(reference) : readByPodman(reference, program, `${NAMESPACE}/${localName}`),
  leftovers: {
    list: ['images', '--filter', `reference=${NAMESPACE}/*`, '--format', '{{.Repository}}:{{.Tag}}'],
    remove: ['manifest', 'rm'],
  },
};

function platformTag(mainTag: string, platform: string): string {
  return `${mainTag}-${platform.replaceAll('/', '-')}`;
}

async function build(engine: EngineCommands, image: PublishedImage): Promise<PushContent> {
  const ids = new Map<string, string>();
  for (const platform of image.platforms) {
    const what = `id of ${image.component} ${platform}`;
    ids.set(platform, await engine.runFor(what, (file) => buildArguments(image, platform, file)));
  }
  return () => push(engine, image, ids);
}

/** With a time given, podman builds the same id from the same content, from its cache or not. */
function buildArguments(image: PublishedImage, platform: string, idFile: string): readonly string[] {
  return PODMAN.buildCommands({
    ...image.build,
    tags: [],
    platforms: [platform],
    extra: ['--timestamp', String(image.epoch), ...image.build.extra, '--iidfile', idFile],
    output: { kind: 'load' },
  }).flat();
}

/** @param ids of what was built, by platform */
async function push(engine: EngineCommands, image: PublishedImage, ids: Map<string, string>): Promise<PushedImage> {
  const { component, mainTag, repository, run } = image;
  const list = `${NAMESPACE}/${component}:${run}`;
  const tls = tlsArguments(repository);
  const platforms: Published[] = [];
  for (const [platform, id] of ids) {
    const reference = `${repository}:${platformTag(mainTag, platform)}`;
    const args = (file: string) => ['push', ...tls, '--digestfile', file, id, `docker://${reference}`];
    const digest = await engine.runFor(`digest of ${component} ${platform}`, args, reference);
    const content = { digest, images: [{ platform, digest }] };
    platforms.push({ component, reference, platforms: [platform], content });
  }
  const images = platforms.flatMap(({ content }) => content.images);
  const sources = images.map(({ digest }) => `docker://${repository}@${digest}`);
  await engine.run(['manifest', 'create', list]);
  await engine.run(['manifest', 'add', ...tls, list, ...sources]);
  const setTag = (tag: string) => {
    const reference = `${repository}:${tag}`;
    // `--all=false`: the images are in the registry already, and the list points at them by digest.
    const options = ['--all=false', ...tls, '--digestfile'];
    const args = (file: string) => ['manifest', 'push', ...options, file, list, `docker://${reference}`];
    return engine.runFor(`digest of ${component}`, args, reference);
  };
  return { image, content: { digest: undefined, images }, platforms, setTag };
}

/** Skopeo prints the registry's very bytes, whose hash is the digest. */
function readBySkopeo(reference: string): Reading {
  const command = ['skopeo', 'inspect', '--raw', ...tlsArguments(reference), `docker://${reference}`];
  const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;
  return { commands: [command], parse: (text) => contentIn(text, digestOf(text)) };
}

/**
 * Podman alone looks at the images of this machine first (`manifest inspect`), unless what the registry has is added to
 * an empty list. That list has the images and their digests, but not the digest of the index.
 */
function readByPodman(reference: string, program: string, list: string): Reading {
  const add = ['add', '--all', ...tlsArguments(reference), list, `docker://${reference}`];
  const commands = [['create', list], add, ['inspect', list]].map((args) => [program, 'manifest', ...args]);
  return { commands, parse: (text) => contentIn(text, undefined) };
}
