// SPDX-License-Identifier: Apache-2.0

/** What docker and podman have in common: two records of one shape. Tasks hold no `if (engine === 'docker')`. */

import { isTable, parseTable } from '../fs/parse-json.ts';

export type EngineName = 'docker' | 'podman';

/** An image build, for any engine. */
export interface ImageBuild {
  /** The directory that the build can copy from, absolute. */
  readonly context: string;
  /** The Dockerfile, absolute. */
  readonly dockerfile: string;
  /** The stage to build; `undefined` for the last one. */
  readonly target: string | undefined;
  /** Whole references, `registry/name:tag`. */
  readonly tags: readonly string[];
  /** `linux/amd64` and the like; empty for the engine's own. */
  readonly platforms: readonly string[];
  /** The buildx builder; podman has none. */
  readonly builder: string | undefined;
  /** Cache options of buildx; podman has its own cache. */
  readonly caches: readonly string[];
  /** Secrets as `id=NAME,env=VARIABLE`: no argument holds a value. */
  readonly secrets: readonly string[];
  /** The user's own options; only the output follows them. */
  readonly extra: readonly string[];
  readonly output: ImageOutput;
}

/** Where the image goes. */
export type ImageOutput =
  | { readonly kind: 'load' }
  | { readonly kind: 'push' }
  | { readonly kind: 'output'; readonly value: string };

/** What an engine says about itself. */
export interface EngineInfo {
  /** Which engine has responded, whatever the program is called. */
  readonly engine: EngineName;
  /** As the engine calls it, such as `x86_64`; `undefined` where it does not say. */
  readonly arch: string | undefined;
  /** Whether podman responds, also to docker's client. */
  readonly isPodmanServer: boolean;
  /** Whether its own store takes images of several platforms, as containerd's does. */
  readonly storesIndexes: boolean;
}

/** What an engine is started with: arguments that follow the program's name. */
export interface EngineRecord {
  readonly name: EngineName;
  /** The programs that may stand for it, the usual one first. */
  readonly programs: readonly string[];
  /** The commands of an image build, in their order. */
  buildCommands(build: ImageBuild): readonly (readonly string[])[];
  /** The arguments that inspect the builder that would build; `undefined` where there are no builders. */
  builderProbe(builder: string | undefined): readonly string[] | undefined;
}

/** An engine that was chosen and has responded. */
export interface Engine {
  readonly record: EngineRecord;
  readonly program: string;
  /** Why it was chosen, for users. */
  readonly reason: string;
  /** What it said about itself. */
  readonly info: EngineInfo;
}

/** The arguments with which a program says which engine it is, whether its server responds, and what that runs on. */
export const INFO_ARGUMENTS = ['info', '--format', '{{json .}}'] as const;

/**
 * Reads the output of `info`.
 * @returns `undefined` for text that no engine prints
 */
export function parseInfo(text: string): EngineInfo | undefined {
  const info = parseTable(text);
  const host = info?.host;
  if (isTable(host)) {
    return { engine: 'podman', arch: asText(host.arch), isPodmanServer: true, storesIndexes: false };
  }
  if (info === undefined || !('ServerVersion' in info || 'Architecture' in info)) return undefined;
  return {
    engine: 'docker',
    arch: asText(info.Architecture),
    // Podman's service responds as Docker does, but keeps its images where podman does.
    isPodmanServer: /\/containers\/storage\/?$/.test(asText(info.DockerRootDir) ?? ''),
    storesIndexes: JSON.stringify(info.DriverStatus ?? null).includes('io.containerd.snapshotter'),
  };
}

/** Why the server did not respond, where the client says so in its output: docker 20.10 does, and with status 0. */
export function refusalIn(text: string): string | undefined {
  const errors = parseTable(text)?.ServerErrors;
  return Array.isArray(errors) && errors.length > 0 ? errors.map(String).join('; ') : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
