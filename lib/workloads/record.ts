// SPDX-License-Identifier: Apache-2.0

/** The files that tell others which images there are, pure: a manifest for the tests, variables for a shell. */

import { CONTROL_CHARACTERS } from '../errors.ts';
import { parseJson } from '../fs/parse-json.ts';
import { BASE_IMAGE, CUDA_INPUTS } from './config.ts';
import { fingerprint, recordPaths, type WorkloadImage, type WorkloadsPlan } from './plan.ts';

const GENERATED_BY = 'mise run e2e:workloads:build';
const PROGRAM = '/usr/local/bin/openshell-gpu-workload';

/** What a run leaves. */
export interface Recorded {
  readonly plan: WorkloadsPlan;
  /** The digest of the base image; `undefined` where the engine does not tell it. */
  readonly digest: string | undefined;
  /** Those that there are, in the order of the workloads. */
  readonly images: readonly WorkloadImage[];
}

type Yaml = string | number | boolean | Yaml[] | { [key: string]: Yaml };

/** The manifest, in YAML. */
export function manifestText(recorded: Recorded): string {
  const { inputs, root } = recorded.plan.config;
  const input_fingerprint = fingerprint(inputs, recorded.images);
  return yamlText({
    schema_version: 1,
    generated_by: GENERATED_BY,
    source: { path: recordPaths(root).directory, input_fingerprint, ...commonSource(recorded) },
    workloads: recorded.images.map(({ expect, name, reference }) => {
      return { name, image: reference, command: [PROGRAM], expect, requirements: { gpu: true } };
    }),
  });
}

/** What all images of a manifest have in common. */
function commonSource({ digest, plan: { config, engine } }: Pick<Recorded, 'plan' | 'digest'>) {
  const names = [BASE_IMAGE, ...CUDA_INPUTS] as const;
  const inputs = Object.fromEntries(names.map((name) => [name.toLowerCase(), config.inputs[name]]));
  const digests = digest === undefined ? {} : { [`${BASE_IMAGE.toLowerCase()}_digest`]: digest };
  return { container_engine: engine.record.name, inputs: { ...inputs, ...digests } };
}

/** The images of an earlier manifest that are not built now, and whether they are still what this run would build. */
export function earlierImages(manifest: string, recorded: Pick<Recorded, 'plan' | 'digest'>) {
  const entries = manifest.matchAll(/^ {2}- name: (".*")\n {4}image: (".*")$/gm);
  const references = new Map([...entries].map(([, name = '', image = '']) => [parseJson(name), parseJson(image)]));
  const source = yamlText({ source: commonSource(recorded), workloads: [] }).replace(/^source:\n/, '');
  const isSameSource = manifest.includes(source);
  return recorded.plan.images
    .filter(({ isSelected, name }) => !isSelected && references.has(name))
    .map((image) => ({ image, isCurrent: isSameSource && references.get(image.name) === image.reference }));
}

/** The variables. None is one that a build reads: a shell that has them builds what the checkout has by then. */
export function variablesText(recorded: Recorded): string {
  const { digest, images, plan } = recorded;
  const { inputs, root } = plan.config;
  const { directory, manifest } = recordPaths(root);
  const lines = [
    ['OPENSHELL_GPU_WORKLOAD_IMAGE_SOURCE_PATH', directory],
    ['OPENSHELL_GPU_WORKLOAD_IMAGE_INPUT_FINGERPRINT', fingerprint(inputs, images)],
    ['OPENSHELL_GPU_WORKLOAD_BASE_IMAGE', inputs[BASE_IMAGE]],
    ...(digest === undefined ? [] : [['OPENSHELL_GPU_WORKLOAD_BASE_IMAGE_DIGEST', digest]]),
    ...CUDA_INPUTS.map((name) => [`OPENSHELL_GPU_WORKLOAD_${name}`, inputs[name]]),
    ['OPENSHELL_GPU_WORKLOAD_CONTAINER_ENGINE', plan.engine.record.name],
    ['OPENSHELL_E2E_WORKLOAD_MANIFEST', manifest],
    ...images.map(({ reference, variable }) => [variable, reference]),
  ].map(([name, value = '']) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
  return `# Written by ${GENERATED_BY}.\n# The workload images that were built last, for a shell.\n${lines.join('')}`;
}

function yamlText(value: Yaml): string {
  return `${yamlLines(value).join('\n')}\n`;
}

/** Block style; a text is one of JSON, which YAML understands, with escapes where YAML wants more of them. */
function yamlLines(value: Yaml): string[] {
  const indented = (inner: Yaml) => yamlLines(inner).map((line) => `  ${line}`);
  if (Array.isArray(value)) return value.flatMap((item) => indented(item).with(0, `- ${yamlLines(item)[0]}`));
  if (typeof value === 'object') {
    return Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' ? [`${key}:`, ...indented(inner)] : [`${key}: ${yamlLines(inner)}`],
    );
  }
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return [JSON.stringify(value).replace(CONTROL_CHARACTERS, escaped)];
}
