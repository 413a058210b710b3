// SPDX-License-Identifier: Apache-2.0

/** Podman: no builders, a push of its own, and no service, except for gateways. */

import { isAbsolute, join } from 'node:path';
import { type Environment, readPath, textOf } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { firstInList, isTable } from '../fs/parse-json.ts';
import {
  type ApiFacts,
  type ApiPlaces,
  type EngineRecord,
  type ImageBuild,
  optionsOf,
  placesAt,
  type Refusal,
} from './types.ts';

/** Names the service's socket, for gateways and for us. */
export const SOCKET_VARIABLE = 'OPENSHELL_PODMAN_SOCKET';
const HOST_VARIABLE = 'CONTAINER_HOST';

export const PODMAN: EngineRecord = {
  name: 'podman',
  // Some systems have podman only under docker's name.
  programs: ['podman', 'docker'],
  buildCommands: (build) => [
    ['build', ...buildOptions(build), ...withoutDockerOptions(build.extra), build.context],
    ...(build.output.kind === 'push' ? build.tags.map((tag) => ['push', ...tlsArguments(tag), tag]) : []),
  ],
  // It ends the step that runs, and podman removes its containers; at SIGINT podman ends at once and leaves them.
  buildSignal: 'SIGHUP',
  builderProbe: () => undefined,
  digestProbes: (image) => [['image', 'inspect', '--format', '{{.Digest}}', image]],
  api: {
    // There it runs in a virtual machine, whose socket is forwarded to one of this machine.
    probe: (platform) => (platform === 'darwin' ? ['machine', 'inspect'] : undefined),
    places: servicePlaces,
    start: (platform, uid) =>
      platform === 'darwin'
        ? 'run: podman machine start'
        : `run: systemctl ${uid === 0 ? '' : '--user '}start podman.socket (without systemd: podman system service --time=0 &)`,
  },
};

/** Where OpenShell's gateway looks for the service, and before that where podman's own client is sent. */
function servicePlaces({ env, platform, printed, startDirectory, uid }: ApiFacts): ApiPlaces | Refusal {
  const named = uid === undefined ? undefined : readPath(env, SOCKET_VARIABLE, startDirectory);
  if (named !== undefined) return { sockets: [named], source: SOCKET_VARIABLE };
  const host = textOf(env, HOST_VARIABLE);
  if (host !== undefined) {
    return { source: HOST_VARIABLE, ...placesAt(host, HOST_VARIABLE, `change or unset ${HOST_VARIABLE}`) };
  }
  const connection = printed?.ok ? firstInList(printed.output)?.ConnectionInfo : undefined;
  const machine = isTable(connection) && isTable(connection.PodmanSocket) ? connection.PodmanSocket.Path : undefined;
  const sockets = [
    ...(typeof machine === 'string' ? [machine] : []),
    ...below(env, 'XDG_RUNTIME_DIR', 'podman/podman.sock'),
    ...(platform === 'linux' ? [`/run/user/${uid}/podman/podman.sock`] : []),
    ...(platform === 'linux' && uid === 0 ? ['/run/podman/podman.sock'] : []),
    ...below(env, 'HOME', '.local/share/containers/podman/machine/podman.sock'),
  ];
  return { sockets };
}

function below(env: Environment, variable: string, path: string): string[] {
  const directory = textOf(env, variable);
  return directory === undefined || !isAbsolute(directory) ? [] : [join(directory, path)];
}

function buildOptions(build: ImageBuild): string[] {
  if (build.platforms.length > 1) {
    throw usageError(
      `podman builds one platform at a time, not ${build.platforms.join(',')}; name one in DOCKER_PLATFORM, ` +
        'take docker, or publish several with tasks/docker-publish-multiarch.ts',
    );
  }
  return [
    ...build.platforms.flatMap((platform) => ['--platform', platform]),
    ...optionsOf(build),
    ...(build.output.kind === 'output' ? ['--output', build.output.value] : []),
  ];
}

/** Allows plain HTTP on loopback, as docker does by itself. */
export function tlsArguments(reference: string): string[] {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?\//.test(reference) ? ['--tls-verify=false'] : [];
}

/** Options that only buildx knows, each as one argument (`--provenance=false`) or two. */
const DOCKER_ONLY = ['--provenance', '--builder', '--sbom', '--attest'];

function withoutDockerOptions(args: readonly string[]): string[] {
  return args.filter((argument, index) => {
    const before = args[index - 1];
    // `--provenance` also stands alone; a value does not begin with a dash.
    const isValue = before !== undefined && DOCKER_ONLY.includes(before) && !argument.startsWith('-');
    return !isValue && !DOCKER_ONLY.includes(argument.replace(/=.*/s, ''));
  });
}
