// SPDX-License-Identifier: Apache-2.0

/** Publishing with buildx: one build pushes all platforms by their digest, and imagetools sets tags in the registry. */

import { DOCKER } from '../../engine/docker.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentIn, type EngineCommands, type PublishedImage, type Publishing, type PushContent } from './types.ts';

export const DOCKER_PUBLISHING: Publishing = {
  build,
  platformTags: () => [],
  reading: (reference, { program, builder }) => {
    const format = ['--format', '{{json .Manifest}}'];
    const args = ['buildx', 'imagetools', 'inspect', ...builderOption(builder), ...format, reference];
    const parse = (text: string) => {
      const digest = parseTable(text)?.digest;
      return typeof digest === 'string' ? contentIn(text, digest) : undefined;
    };
    return { commands: [[program, ...args]], parse };
  },
  leftovers: undefined,
};

async function build(engine: EngineCommands, image: PublishedImage): Promise<PushContent> {
  const digest = await engine.runFor(`digest of ${image.component}`, (file) => buildArguments(image, file));
  const setTag = async (tag: string) => {
    const reference = `${image.repository}:${tag}`;
    // Without `--prefer-index=false` a single image would be wrapped, and get another digest than what was pushed.
    const create = ['buildx', 'imagetools', 'create', ...builderOption(image.build.builder), '--prefer-index=false'];
    await engine.run([...create, '-t', reference, `${image.repository}@${digest}`], reference);
    return digest;
  };
  return async () => ({ image, content: { digest, images: [] }, platforms: [], setTag });
}

/**
 * No tag, and pushed under the digest alone. Times of files and of the image are given, so that the same content has
 * the same digest whatever the builder still has in its cache.
 */
function buildArguments(image: PublishedImage, metadata: string): readonly string[] {
  const output = `type=image,name=${image.repository},push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true`;
  return DOCKER.buildCommands({
    ...image.build,
    tags: [],
    platforms: image.platforms,
    extra: ['--build-arg', `SOURCE_DATE_EPOCH=${image.epoch}`, ...image.build.extra, '--metadata-file', metadata],
    output: { kind: 'output', value: output },
  }).flat();
}

function builderOption(builder: string | undefined): readonly string[] {
  return builder === undefined ? [] : ['--builder', builder];
}
