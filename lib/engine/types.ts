// SPDX-License-Identifier: Apache-2.0

/** What docker and podman have in common: two records of one shape. Tasks hold no `if (engine === 'docker')`. */

import type { Environment } from '../cli/env.ts';
import { shown } from '../errors.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';
import type { ProbeResult } from '../process/result.ts';

export type EngineName = 'docker' | 'podman';

/** An image build, for any engine; paths are absolute. */
export interface ImageBuild {
  readonly context: string;
  readonly dockerfile: string;
  readonly target: string | undefined;
  readonly tags: readonly string[];
  /** Empty for the engine's own. */
  readonly platforms: readonly string[];
  readonly builder: string | undefined;
  /** Options of buildx. */
  readonly caches: readonly string[];
  /** As `id=NAME,env=VARIABLE`: no argument holds a value. */
  readonly secrets: readonly string[];
  /** The user's own options; only the output follows them. */
  readonly extra: readonly string[];
  readonly output: ImageOutput;
}

export type ImageOutput = { readonly kind: 'load' | 'push' } | { readonly kind: 'output'; readonly value: string };

/** The options of a build that both engines have. */
export function optionsOf({ dockerfile, secrets, tags, target }: ImageBuild): string[] {
  return [
    ...secrets.flatMap((secret) => ['--secret', secret]),
    ...['-f', dockerfile, ...(target === undefined ? [] : ['--target', target])],
    ...tags.flatMap((tag) => ['-t', tag]),
  ];
}

export interface EngineInfo {
  readonly engine: EngineName;
  /** As the engine calls it, such as `x86_64`; `undefined` where it does not say. */
  readonly arch: string | undefined;
  /** Whether its own store takes images of several platforms, as containerd's does. */
  readonly storesIndexes: boolean;
  /** Where the service of a podman of this machine listens, by its own words. */
  readonly socket?: string | undefined;
}

export interface Refusal {
  readonly said: string;
  readonly remedy: string;
  readonly isAbsent?: true;
  /** A wrong setting, which is an error in a dry run, too. */
  readonly isSetting?: boolean;
}

/** What decides where an engine's API is. */
export interface ApiFacts {
  readonly env: Environment;
  readonly platform: NodeJS.Platform;
  /** The user that the gateway runs as; `undefined` where no gateway is to use it, but the client alone. */
  readonly uid: number | undefined;
  readonly startDirectory: string;
  readonly printed: ProbeResult | undefined;
}

/** Sockets that an engine's API may be at, in the order in which they are tried, and the variable that names the one. */
export interface ApiPlaces {
  readonly sockets: readonly string[];
  readonly source?: string;
}

/** The socket of an endpoint such as `unix:///run/x.sock`; of any other, why it cannot be used. */
export function placesAt(endpoint: string, source: string, remedy: string): ApiPlaces | Refusal {
  const path = /^unix:\/\/(\/.+)$/.exec(endpoint)?.[1];
  if (path !== undefined) return { sockets: [path] };
  return { said: `${source} leads to ${shown(endpoint)}, and only a socket of this machine can be used`, remedy };
}

/** What an engine is started with: arguments that follow the program's name. */
export interface EngineRecord {
  readonly name: EngineName;
  /** The programs that may stand for it, the usual one first. */
  readonly programs: readonly string[];
  buildCommands(build: ImageBuild): readonly (readonly string[])[];
  /** The signal that ends a build and removes its containers; any does where there is none. */
  readonly buildSignal?: NodeJS.Signals;
  /** The arguments that inspect the builder that would build; `undefined` where there are no builders. */
  builderProbe(builder: string | undefined): readonly string[] | undefined;
  /** The arguments that print the digest of an image; where the first do not, the next ones. */
  digestProbes(image: string): readonly (readonly string[])[];
  /** How a gateway reaches it: through a socket of this machine. */
  readonly api: {
    /** The arguments that print where it is; `undefined` where nothing has to be asked. */
    probe(platform: NodeJS.Platform): readonly string[] | undefined;
    /** Where it is; `undefined` where what was printed does not say so. Pure. */
    places(facts: ApiFacts): ApiPlaces | Refusal | undefined;
    start(platform: NodeJS.Platform, uid: number): string;
  };
}

export interface Engine {
  readonly record: EngineRecord;
  readonly program: string;
  readonly reason: string;
  readonly info: EngineInfo;
  /** In a dry run why it could not be probed, in a few words; marks stand for what is unknown of it. */
  readonly unknown?: string;
}

/** An engine that will respond to a gateway on its socket, too. */
export interface LaunchEngine extends Engine {
  readonly socket: string;
}

/** The arguments with which a program says which engine it is, whether its server responds, and what that runs on. */
export const INFO_ARGUMENTS = ['info', '--format', '{{json .}}'] as const;

/** Reads the output of `info`; `undefined` for text that no engine prints. */
export function parseInfo(text: string): EngineInfo | undefined {
  const info = tableIn(text);
  const host = info?.host;
  if (isTable(host)) {
    return { engine: 'podman', arch: asText(host.arch), storesIndexes: false, socket: serviceSocket(host) };
  }
  if (info === undefined || !('ServerVersion' in info || 'Architecture' in info)) return undefined;
  return {
    engine: 'docker',
    arch: asText(info.Architecture),
    storesIndexes: JSON.stringify(info.DriverStatus ?? null).includes('io.containerd.snapshotter'),
  };
}

/** What is printed before it, such as a warning, is not of interest. */
function tableIn(text: string) {
  return parseTable(text.slice(Math.max(0, text.search(/^\{/m))));
}

/** A podman that is a mere client says where the service listens on the machine of the service. */
function serviceSocket({ remoteSocket, serviceIsRemote }: Readonly<Record<string, unknown>>): string | undefined {
  if (serviceIsRemote === true || !isTable(remoteSocket) || remoteSocket.exists === false) return undefined;
  return asText(remoteSocket.path)?.replace(/^unix:\/\//, '');
}

/** Why the server did not respond, where the client says so in its output: docker 20.10 does, and with status 0. */
export function refusalIn(text: string): string | undefined {
  const errors = tableIn(text)?.ServerErrors;
  return Array.isArray(errors) && errors.length > 0 ? errors.map(String).join('; ') : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
