// SPDX-License-Identifier: Apache-2.0

/** The container engines: which one a gateway and an image build get and why, and whether each can be used. */

import { detectEngine, findEngine, serverArch } from '../engine/detect.ts';
import { forLaunch } from '../engine/gateway-engine.ts';
import { forBuilds, probeBuilder } from '../engine/inspect-builder.ts';
import type { EngineName } from '../engine/types.ts';
import { MissingTool } from '../errors.ts';
import { resolveImageConfig } from '../image/config.ts';
import type { Check, Doctor, Finding } from './check.ts';

const IMAGES = ['build:docker:supervisor', 'build:docker:gateway'];

export function engineChecks(doctor: Doctor): Check[] {
  const { ctx, root, selection } = doctor;
  const resolve = async () => resolveImageConfig('supervisor', [], ctx.env, root, ctx.startDirectory);
  const asked = resolve();
  const images = asked.then(({ builder, image }) => {
    return detectEngine(ctx, root, forBuilds(builder, image.output.kind === 'load'));
  });
  const forGateways = async () => {
    const { driver, reason } = await selection;
    return `${driver} (${reason})`;
  };
  const forImages = async () => {
    const [engine, { arches }] = await Promise.all([images, asked]);
    const platforms = (arches ?? [serverArch(engine)]).map((arch) => `linux/${arch}`);
    return `${engine.program} for ${platforms.join(', ')} (${engine.reason})`;
  };
  const builder = async () => {
    const engine = await images.catch(() => undefined);
    if (engine === undefined) return { note: 'not looked at: no engine responds' };
    const { driver } = await probeBuilder(ctx, engine, root, (await asked).builder);
    return driver === undefined ? `${engine.record.name} needs none` : `of the driver ${driver}`;
  };
  const each = (['docker', 'podman'] as const).map(
    (name): Check => [name, [`gateway:${name}`], () => engineFinding(doctor, name)],
  );
  return [
    ['for gateways', ['gateway'], forGateways],
    ['for images', IMAGES, forImages],
    ...each,
    ['builder', IMAGES, builder],
  ];
}

/** Whether a gateway can use the engine; one that is not installed is missed only where it is named. */
async function engineFinding({ ctx, host, root, tasks }: Doctor, name: EngineName): Promise<Finding> {
  const choice = { candidates: [name], reason: `the driver is ${name}` };
  try {
    const engine = await findEngine(ctx, root, choice, forLaunch(ctx, host.platform));
    return `${engine.program} on ${engine.socket}, linux/${serverArch(engine)}`;
  } catch (error) {
    if (!(error instanceof MissingTool) || tasks.includes(`gateway:${name}`)) throw error;
    return { note: 'not on PATH' };
  }
}
