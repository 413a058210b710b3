// SPDX-License-Identifier: Apache-2.0

/**
 * How each engine publishes. An image is built without a name, its content is pushed, and from then on it is known by
 * the registry's digest alone: no image that happens to have the same name can take its place.
 */

import { DOCKER } from '../engine/docker.ts';
import { PODMAN, tlsArguments } from '../engine/podman.ts';
import type { EngineName, ImageBuild } from '../engine/types.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';

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

/** What a reference of a registry points at. */
export interface Content {
  /** `undefined` where it is not known: podman learns the digest of an index only when it pushes it. */
  readonly digest: string | undefined;
  /** A platform is `undefined` where an image stands alone and does not say. */
  readonly images: readonly { readonly platform: string | undefined; readonly digest: string }[];
}

/** A reference of the registry that was set. */
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

/** An image whose content is in the registry. */
interface PushedImage {
  readonly images: Content['images'];
  /** The references of single platforms that the content was pushed under. */
  readonly platforms: readonly Published[];
  /** Sets a reference, from digests alone, and gives the digest that it then points at. */
  setTag(reference: string): Promise<string>;
}

/** Pushes what was built and is not in the registry yet. */
export type PushContent = () => Promise<PushedImage>;

export interface Publishing {
  /** Builds all platforms, and sets no reference of the registry. */
  build(engine: EngineCommands, image: PublishedImage): Promise<PushContent>;
  /** The tags under which the images of single platforms are pushed. */
  platformTags(image: PublishedImage): readonly string[];
  /** Commands that read a reference; the last one prints it. @param list the end of a name that no other one has */
  reading(
    program: string,
    builder: string | undefined,
    reference: string,
    list: string,
  ): readonly (readonly string[])[];
  /** The arguments that list what runs have left in the engine's storage, a name a line, and that remove such names. */
  readonly leftovers: { readonly list: readonly string[]; readonly remove: readonly string[] } | undefined;
}

/** Names of podman's lists on this machine. No build and no pull gives an image such a name. */
const NAMESPACE = 'localhost/openshell-publish';

export const PUBLISHING: Readonly<Record<EngineName, Publishing>> = {
  /** One build pushes all platforms by their digest, and imagetools sets tags in the registry. */
  docker: {
    build: buildByDocker,
    platformTags: () => [],
    reading: (program, builder, reference) => {
      const options = [...builderOption(builder), '--format', '{{json .Manifest}}'];
      return [[program, 'buildx', 'imagetools', 'inspect', ...options, reference]];
    },
    leftovers: undefined,
  },
  /**
   * Each platform is pushed by its id under the tag and the platform (`dev-linux-amd64`); the index is a list of the
   * digests that the registry then has.
   */
  podman: {
    build: buildByPodman,
    platformTags: ({ mainTag, platforms }) => platforms.map((platform) => platformTag(mainTag, platform)),
    // Podman looks at this machine's images first, unless what the registry has is added to an empty list.
    reading: (program, _, reference, list) => {
      const name = `${NAMESPACE}/${list}`;
      const add = ['add', '--all', ...tlsArguments(reference), name, `docker://${reference}`];
      return [['create', name], add, ['inspect', name]].map((args) => [program, 'manifest', ...args]);
    },
    leftovers: {
      list: ['images', '--filter', `reference=${NAMESPACE}/*`, '--format', '{{.Repository}}:{{.Tag}}'],
      remove: ['manifest', 'rm'],
    },
  },
};

async function buildByDocker(engine: EngineCommands, image: PublishedImage): Promise<PushContent> {
  const { build, component, epoch, platforms, repository } = image;
  const push = 'push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true';
  const output = `type=image,name=${repository},${push}`;
  const digest = await engine.runFor(`digest of ${component}`, (metadata) => {
    // With times given, the same content has the same digest whatever the builder still has in its cache.
    const extra = ['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, ...build.extra, '--metadata-file', metadata];
    return DOCKER.buildCommands({
      ...build,
      tags: [],
      platforms,
      extra,
      output: { kind: 'output', value: output },
    }).flat();
  });
  const setTag = async (reference: string) => {
    // Without `--prefer-index=false` a single image would be wrapped, and get another digest than what was pushed.
    const options = [...builderOption(build.builder), '--prefer-index=false', '-t', reference];
    await engine.run(['buildx', 'imagetools', 'create', ...options, `${repository}@${digest}`], reference);
    return digest;
  };
  return async () => ({ images: [], platforms: [], setTag });
}

function builderOption(builder: string | undefined): readonly string[] {
  return builder === undefined ? [] : ['--builder', builder];
}

function platformTag(mainTag: string, platform: string): string {
  return `${mainTag}-${platform.replaceAll('/', '-')}`;
}

async function buildByPodman(engine: EngineCommands, image: PublishedImage): Promise<PushContent> {
  const { build, component, epoch } = image;
  const ids = new Map<string, string>();
  for (const platform of image.platforms) {
    const id = await engine.runFor(`id of ${component} ${platform}`, (idFile) => {
      // With a time given, podman builds the same id from the same content, from its cache or not.
      const extra = ['--timestamp', String(epoch), ...build.extra, '--iidfile', idFile];
      const request = { ...build, tags: [], platforms: [platform], extra, output: { kind: 'load' } } as const;
      return PODMAN.buildCommands(request).flat();
    });
    ids.set(platform, id);
  }
  return () => pushByPodman(engine, image, ids);
}

/** @param ids of what was built, by platform */
async function pushByPodman(engine: EngineCommands, image: PublishedImage, ids: ReadonlyMap<string, string>) {
  const { component, mainTag, repository, run } = image;
  const list = `${NAMESPACE}/${component}:${run}`;
  const tls = tlsArguments(repository);
  const platforms: Published[] = [];
  for (const [platform, id] of ids) {
    const reference = `${repository}:${platformTag(mainTag, platform)}`;
    const args = (file: string) => ['push', ...tls, '--digestfile', file, id, `docker://${reference}`];
    const digest = await engine.runFor(`digest of ${component} ${platform}`, args, reference);
    platforms.push({
      component,
      reference,
      platforms: [platform],
      content: { digest, images: [{ platform, digest }] },
    });
  }
  const images = platforms.flatMap(({ content }) => content.images);
  await engine.run(['manifest', 'create', list]);
  const sources = images.map(({ digest }) => `docker://${repository}@${digest}`);
  await engine.run(['manifest', 'add', ...tls, list, ...sources]);
  const setTag = (reference: string) => {
    // `--all=false`: the images are in the registry already, and the list points at them by digest.
    const options = ['--all=false', ...tls, '--digestfile'];
    const args = (file: string) => ['manifest', 'push', ...options, file, list, `docker://${reference}`];
    return engine.runFor(`digest of ${component}`, args, reference);
  };
  return { images, platforms, setTag };
}

/** The content of a manifest, without entries that are not for a platform; `undefined` for text that is not one. */
export function contentIn(text: string): Content | undefined {
  const manifest = parseTable(text);
  const digest = typeof manifest?.digest === 'string' ? manifest.digest : undefined;
  const entries = Array.isArray(manifest?.manifests) ? manifest.manifests : [{ digest }];
  const images = entries.filter(isTable).flatMap(({ digest: own, platform }) => {
    const { architecture, os } = isTable(platform) ? platform : {};
    if (typeof own !== 'string' || os === 'unknown') return [];
    return [{ digest: own, platform: os === undefined ? undefined : `${os}/${architecture}` }];
  });
  return Array.isArray(manifest?.manifests) || digest !== undefined ? { digest, images } : undefined;
}

/** Whether two contents are the same: by the digest where both know it, else by their images, in any order. */
export function isSameContent(one: Content, other: Content): boolean {
  if (one.digest !== undefined && other.digest !== undefined) return one.digest === other.digest;
  const [mine, theirs] = [one, other].map(({ images }) => images.map(({ digest }) => digest).sort());
  return mine?.join() === theirs?.join();
}
