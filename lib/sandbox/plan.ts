// SPDX-License-Identifier: Apache-2.0

/** The commands of the `openshell` CLI for the sandbox of a developer, and what its output means; pure. */

import { oneLine, usageError } from '../errors.ts';
import { parseTable } from '../fs/json.ts';

export const CLI = 'openshell';
/** The one sandbox of these tasks. */
export const SANDBOX = 'dev';
/** The provider of the API key that the sandbox's agent uses. */
export const PROVIDER = { name: 'anthropic', type: 'claude', variable: 'ANTHROPIC_API_KEY' } as const;
const DEFAULT_COMMAND = ['claude'];

export const PROBES = {
  status: [CLI, 'status', '-o', 'json'],
  sandbox: [CLI, 'sandbox', 'get', SANDBOX],
  provider: [CLI, 'provider', 'get', PROVIDER.name],
} as const;

/** The CLI takes the key from its environment: in its arguments every user of the machine could read it. */
export const CREATE_PROVIDER = [
  ...[CLI, 'provider', 'create', '--name', PROVIDER.name, '--type', PROVIDER.type],
  ...['--credential', PROVIDER.variable],
] as const;

export const CONNECT = [CLI, 'sandbox', 'connect', SANDBOX] as const;

/** The arguments that create the sandbox and run a command in it. */
export function createArguments(hasProvider: boolean, command: readonly string[]): string[] {
  const provider = hasProvider ? ['--provider', PROVIDER.name] : [];
  const chosen = command.length > 0 ? command : DEFAULT_COMMAND;
  return [CLI, 'sandbox', 'create', '--name', SANDBOX, ...provider, '--tty', '--', ...chosen];
}

/** The arguments that run a command in the existing sandbox. */
export function execArguments(command: readonly string[]): string[] {
  return [CLI, 'sandbox', 'exec', '--name', SANDBOX, '--tty', '--', ...command];
}

const CONNECTED = ['connected', 'connected_http'];
const HOW_TO_GET_ONE = `start one in another terminal (mise run gateway), or register one (${CLI} gateway add <endpoint>)`;

interface Status {
  readonly status?: unknown;
  readonly gateway?: unknown;
  readonly server?: unknown;
  readonly error?: unknown;
}

/**
 * Reads the output of `status -o json`: the CLI exits with 0 for every status.
 * @throws usageError unless a gateway is connected, with the CLI's own reason
 */
export function verifyConnected(output: string): void {
  const { status, gateway, server, error } = parseStatus(output);
  if (CONNECTED.some((word) => word === status)) return;
  if (status === 'not_configured') throw usageError(`no gateway is configured; ${HOW_TO_GET_ONE}`);
  const reason = typeof error === 'string' ? `: ${oneLine(error)}` : '';
  throw usageError(`the gateway ${gateway} (${server}) is not connected, but ${status}${reason}; ${HOW_TO_GET_ONE}`);
}

function parseStatus(output: string): Status {
  const value = parseTable(output);
  if (value !== undefined && 'status' in value) return value as Status;
  throw usageError(
    `${PROBES.status.join(' ')} printed '${oneLine(output).slice(0, 200)}', which is not its status; update the CLI`,
  );
}

/** Whether the CLI's reason is the gateway's status NOT_FOUND, as its gRPC library prints it, old and new. */
export function isNotFound(reason: string): boolean {
  // The CLI wraps its messages, so a line may break anywhere.
  const text = reason.replaceAll(/[\s│]+/g, ' ');
  return /code: 'Some requested entity was not found'|status: NotFound\b/.test(text);
}
