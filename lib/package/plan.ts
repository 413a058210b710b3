// SPDX-License-Identifier: Apache-2.0

/** The plan of a Debian package, pure: every file with its mode and content, and the commands that pack them. */

import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Runner } from '../build-env.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../product.ts';
import type { Binaries, PackageConfig } from './config.ts';

/** @param scratch the directory of this run for temporary files, absolute */
export function planPackage(config: PackageConfig, binaries: Binaries, scratch: string) {
  const { root, time } = config;
  const [stage, built] = [join(scratch, 'stage'), join(scratch, 'package.deb')];
  // What dpkg-deb writes itself has the same time.
  const pack = cmd({ cwd: root, env: { SOURCE_DATE_EPOCH: String(time) } });
  const show = cmd({ cwd: root });
  const commands = [
    pack`dpkg-deb --build --root-owner-group ${stage} ${built}`,
    show`dpkg-deb --info ${built}`,
    show`dpkg-deb --contents ${built}`,
  ];
  return { config, files: filesOf(config, binaries), scratch, stage, built, commands };
}

/** Where the package is put. */
export function targetOf({ arch, outputDirectory, version }: PackageConfig): string {
  // An epoch is no part of a package's name.
  return join(outputDirectory, `${DEB.name}_${version.replace(/^[0-9]+:/, '')}_${arch}.deb`);
}

/** Every file, by its path from the root of the package; `from` is a content, or the path of what is copied. */
function filesOf(config: PackageConfig, { cli, driver, gateway }: Binaries) {
  const { arch, authored, licence, time, version } = config;
  const file = (path: string, mode: number, from: string | Buffer) => ({ path, mode, from });
  const program = (path: string, from: string) => file(path, 0o755, from);
  const text = (path: string, content: string, mode = 0o644) => file(path, mode, Buffer.from(content));
  const { 'control.in': control, 'openshell-gateway.service': unit } = authored;
  const documents = `usr/share/doc/${DEB.name}`;
  return [
    program(`usr/bin/${CLI.binary}`, cli),
    program(`usr/bin/${COMPONENTS.gateway.binary}`, gateway),
    program(`usr/libexec/${DEB.name}/${DRIVER.binary}`, driver),
    text(`usr/lib/systemd/user/${DEB.service}.service`, unit),
    text(`${documents}/copyright`, licence ?? `${DEB.licence}\n`),
    file(`${documents}/changelog.gz`, 0o644, gzipped(changelog(version, time))),
    text('DEBIAN/control', control.replaceAll('@VERSION@', version).replaceAll('@ARCH@', arch)),
    ...(['postinst', 'prerm', 'postrm'] as const).map((name) => text(`DEBIAN/${name}`, authored[`${name}.sh`], 0o755)),
  ];
}

/** @param time in seconds since 1970 */
function changelog(version: string, time: number): string {
  const date = new Date(time * 1000).toUTCString().replace('GMT', '+0000');
  const stanza = [`${DEB.name} (${version}) unstable; urgency=medium`, '  * Release build.'];
  return [...stanza, ` -- ${DEB.maintainer}  ${date}\n`].join('\n\n');
}

/** As `gzip -n -9` does it, on every system: byte 9 of the header names one, and 3 is Unix. */
function gzipped(text: string): Buffer {
  const bytes = gzipSync(text, { level: 9 });
  bytes[9] = 3;
  return bytes;
}

/** Every file of a package with its mode, and the commands, ready to paste. */
export function packageLines(runner: Runner, plan: ReturnType<typeof planPackage>): string[] {
  const { commands, config, files, scratch, stage } = plan;
  return [
    `cd ${shellQuote(config.root)}`,
    `# creates ${scratch}`,
    ...files.map(({ mode, path }) => `# creates ${join(stage, path)} (0${mode.toString(8)})`),
    ...commands.map((command) => runner.describe(command)),
    `# writes ${targetOf(config)}`,
  ];
}
