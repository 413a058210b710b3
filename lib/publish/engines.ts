// SPDX-License-Identifier: Apache-2.0

/**
 * How each engine publishes. An image is built without a name, its content is pushed, and from then on it is known by
 * the registry's digest alone: no image that happens to have the same name can take its place.
 */

import { DOCKER } from '../engine/docker.ts';
import { PODMAN, tlsArguments } from '../engine/podman.ts';
import type { EngineName, ImageBuild } from '../engine/types.ts';

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
  /** A name that no other run has. */
  readonly run: string;
}

/** A reference of the registry. */
export interface Published {
  readonly reference: string;
  readonly digest: string;
  readonly platforms: readonly string[];
}

/** Starts the engine's program; that of a dry run prints the command instead, and gives `<digest of gateway>`. */
export interface EngineCommands {
  /** @param sets a reference of the registry */
  run(args: readonly string[], sets?: string): Promise<void>;
  /** Runs a command that leaves an id or a digest in a file, named after `what` it is, and gives that. */
  runFor(what: string, args: (file: string) => readonly string[], sets?: string): Promise<string>;
}

/** Pushes what was built and is not in the registry yet. */
export type PushContent = () => Promise<{
  /** The references of single platforms that the content was pushed under. */
  readonly pushed: readonly Published[];
  /** Sets a reference, from digests alone, and gives the digest that it then points at. */
  setTag(reference: string): Promise<string>;
}>;

export interface Publishing {
  /** The arguments that read what the registry has, with the login that the engine has for it. */
  reading(image: PublishedImage): readonly string[];
  /** Builds all platforms, and sets no reference of the registry. */
  build(engine: EngineCommands, image: PublishedImage): Promise<PushContent>;
  /** The arguments that list what runs have left in the engine's storage, a name a line, and that remove such names. */
  readonly leftovers: { readonly list: readonly string[]; readonly remove: readonly string[] } | undefined;
}

/** Names of podman's lists on this machine. No build and no pull gives an image such a name. */
const NAMESPACE = 'localhost/openshell-publish';

export const PUBLISHING: Readonly<Record<EngineName, Publishing>> = {
  /** One build pushes all platforms by their digest, and imagetools sets tags in the registry. */
  docker: {
    reading: ({ build, mainTag, repository }) => [
      ...['buildx', 'imagetools', 'inspect', ...builderOption(build.builder), `${repository}:${mainTag}`],
    ],
    build: buildByDocker,
    leftovers: undefined,
  },
  /**
   * Each platform is pushed by its id under the tag and the platform (`dev-linux-amd64`); the index is a list of the
   * digests that the registry then has.
   */
  podman: {
    reading: ({ repository }) => ['search', '--list-tags', '--limit', '1', ...tlsArguments(repository), repository],
    build: buildByPodman,
    leftovers: {
      list: ['images', '--filter', `reference=${NAMESPACE}/*`, '--format', '{{.Repository}}:{{.Tag}}'],
      remove: ['manifest', 'rm'],
    },
  },
};

async function buildByDocker(engine: EngineCommands, image: PublishedImage): Promise<PushContent> {
  const { build, component, epoch, platforms, repository } = image;
  const push = 'push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true';
  const output = { kind: 'output', value: `type=image,name=${repository},${push}` } as const;
  const digest = await engine.runFor(`digest of ${component}`, (metadata) => {
    // With times given, the same content has the same digest whatever the builder still has in its cache.
    const extra = ['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, ...build.extra, '--metadata-file', metadata];
    return DOCKER.buildCommands({ ...build, tags: [], platforms, extra, output }).flat();
  });
  const setTag = async (reference: string) => {
    // Without `--prefer-index=false` a single image would be wrapped, and get another digest than what was pushed.
    const options = [...builderOption(build.builder), '--prefer-index=false', '-t', reference];
    await engine.run(['buildx', 'imagetools', 'create', ...options, `${repository}@${digest}`], reference);
    return digest;
  };
  return async () => ({ pushed: [], setTag });
}

function builderOption(builder: string | undefined): readonly string[] {
  return builder === undefined ? [] : ['--builder', builder];
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
  const pushed: Published[] = [];
  for (const [platform, id] of ids) {
    const reference = `${repository}:${mainTag}-${platform.replaceAll('/', '-')}`;
    const args = (file: string) => ['push', ...tls, '--digestfile', file, id, `docker://${reference}`];
    const digest = await engine.runFor(`digest of ${component} ${platform}`, args, reference);
    pushed.push({ reference, digest, platforms: [platform] });
  }
  await engine.run(['manifest', 'create', list]);
  const sources = pushed.map(({ digest }) => `docker://${repository}@${digest}`);
  await engine.run(['manifest', 'add', ...tls, list, ...sources]);
  const setTag = (reference: string) => {
    // `--all=false`: the images are in the registry already, and the list points at them by digest.
    const options = ['--all=false', ...tls, '--digestfile'];
    const args = (file: string) => ['manifest', 'push', ...options, file, list, `docker://${reference}`];
    return engine.runFor(`digest of ${component}`, args, reference);
  };
  return { pushed, setTag };
}
