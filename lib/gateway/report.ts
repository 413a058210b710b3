// SPDX-License-Identifier: Apache-2.0

/** What a launch says before the gateway takes over: what it is, what took how long, how to point the CLI at it. */

import { relative } from 'node:path';
import { oneLine } from '../errors.ts';
import type { Settings } from './config.ts';
import type { DriverRecord, Preparation } from './drivers/types.ts';

/** The lines of the banner. */
export function bannerLines(
  record: DriverRecord,
  settings: Settings,
  preparation: Preparation,
  timings: string,
): string[] {
  const state = relative(settings.root, settings.stateDirectory);
  const facts: (readonly [string, string])[] = [
    ['endpoint', settings.endpoint],
    ['listens on', `${settings.bindAddress} port ${settings.port}`],
    ...preparation.banner,
    ['state', state.startsWith('..') ? settings.stateDirectory : state],
    ['took', timings],
  ];
  const pointers = settings.isActivated
    ? ['the CLI talks to it as soon as it is up; to another one: openshell gateway select NAME']
    : [
        `point the CLI at it: openshell --gateway ${settings.name} status`,
        `or for good: openshell gateway select ${settings.name}`,
      ];
  return [
    `starting the ${record.title} gateway ${settings.name}`,
    ...facts.map(([word, meaning]) => `  ${word.padEnd(12)} ${oneLine(meaning)}`),
    ...pointers,
  ];
}
