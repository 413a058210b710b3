// SPDX-License-Identifier: Apache-2.0

/** Fake container engines beside the fake Rust tools. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote, type FakeCase, type FakeTools } from './fake-tools.ts';

export interface FakeEngine {
  /** What it says about itself; `undefined` for an engine that does not answer. */
  readonly info?: object | undefined;
  /** What it says when it does not answer. */
  readonly refusal?: string;
  /** Seconds before it says anything. */
  readonly delay?: number;
  /** Bash that runs at a build. */
  readonly build?: string;
  /** The answer of `buildx inspect`. */
  readonly builder?: string;
  /** The socket of its API, by its own words. */
  readonly api?: string;
  /** More calls that it expects, looked at first. */
  readonly cases?: readonly FakeCase[];
}

export const DOCKER_INFO = { Architecture: 'x86_64', ServerVersion: '28.0.0' };
/** Of a docker whose containers run on another machine. */
export const DOCKER_ARM_INFO = { Architecture: 'aarch64', ServerVersion: '1' };
export const PODMAN_INFO = { host: { arch: 'amd64' }, version: { Version: '5.0.0' } };

/** An engine in whose store there is nothing. */
export const EMPTY_STORE: Readonly<Record<'docker' | 'podman', FakeEngine>> = {
  docker: { cases: emptyStore(':') },
  podman: { cases: emptyStore("echo '[]'") },
};

function emptyStore(nothing: string): FakeCase[] {
  const lists = ['image', 'container', 'volume'].map((kind) => ({ args: [kind, 'ls'], script: nothing }));
  return [...lists, { args: ['container', 'inspect'], script: 'echo "Error: No such container" >&2; exit 1' }];
}

/** Adds a program that behaves as docker or podman does. */
export function addEngine(tools: FakeTools, program: 'docker' | 'podman', engine: FakeEngine = {}): void {
  const own = 'info' in engine ? engine.info : { docker: DOCKER_INFO, podman: PODMAN_INFO }[program];
  const info = own && 'host' in own ? withService(own, engine.api) : own;
  const wait = engine.delay === undefined ? '' : `/bin/sleep ${engine.delay};`;
  const answer =
    info === undefined
      ? `echo ${bashQuote(engine.refusal ?? 'Cannot connect')} >&2; exit 1`
      : `echo ${bashQuote(JSON.stringify(info))}`;
  const build = engine.build ?? ':';
  tools.add(program, [
    ...(engine.cases ?? []),
    { args: ['info', '--format', '{{json .}}'], script: `${wait}${answer}` },
    ...(program === 'docker'
      ? [
          {
            args: ['context', 'inspect'],
            script: `echo ${bashQuote(contextOf(`unix://${engine.api ?? '/nonexistent/docker.sock'}`))}`,
          },
          {
            args: ['buildx', 'inspect'],
            // Padded as buildx does it where a builder has been used lately.
            script: engine.builder ?? "printf 'Name:          default\\nDriver:        docker\\nLast Activity: now\\n'",
          },
          { args: ['--context'], script: answer },
          { args: ['buildx', 'build'], script: build },
        ]
      : [
          { args: ['build'], script: build },
          { args: ['push'], script: ':' },
        ]),
  ]);
}

/** What docker prints for a context with this endpoint. */
export function contextOf(endpoint: string): string {
  return JSON.stringify([{ Name: 'default', Endpoints: { docker: { Host: endpoint } } }]);
}

/** Podman says where its service would listen. */
function withService(info: { readonly host?: unknown }, path = '/nonexistent/podman.sock'): object {
  return { ...info, host: { remoteSocket: { path }, ...(info.host as object) } };
}

/** Every image has this digest. */
export const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
export const WITH_DIGESTS: FakeCase = { args: ['image', 'inspect', '--format'], script: `echo ${DIGEST}` };

/** Gives a fake checkout workload images. */
export function addWorkloads(
  root: string,
  names: readonly string[] = ['smoke-pass', 'smoke-fail', 'cuda-basic'],
): void {
  for (const name of names) {
    const directory = join(root, 'e2e/gpu/images', name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\n');
    writeFileSync(join(directory, 'workload.sh'), `echo ${name}\n`);
  }
}

/** A fake checkout with Dockerfiles. */
export function imageCheckout(): FakeCheckout {
  const checkout = new FakeCheckout();
  mkdirSync(join(checkout.root, 'deploy/docker'), { recursive: true });
  for (const name of ['gateway', 'supervisor', 'ci']) {
    writeFileSync(join(checkout.root, `deploy/docker/Dockerfile.${name}`), 'FROM scratch\n');
  }
  return checkout;
}
