// SPDX-License-Identifier: Apache-2.0

/** The plan of a Debian package, pure: every file with its mode and content, and the commands that pack them. */

import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Command, cmd } from '../process/command.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../product.ts';
import { authoredPath, type Binaries, type PackageConfig } from './config.ts';

/** Directories of this kind belong to packagings; the next one removes those of runs that were killed. */
export const SCRATCH_PREFIX = 'openshell-deb-';

/** A file of the package. */
export interface PackagedFile {
  /** From the root of the package. */
  readonly path: string;
  readonly mode: 0o755 | 0o644;
  /** Another file, absolute, or the content itself. */
  readonly from: string | Uint8Array;
  /** Whether it has to be a program for the package's architecture. */
  readonly isProgram?: true;
}

export interface PackagePlan {
  readonly config: PackageConfig;
  readonly files: readonly PackagedFile[];
  /** The directory of this run for temporary files. */
  readonly scratch: string;
  /** Where the files are put together, and where dpkg-deb leaves the package, both below it. */
  readonly stage: string;
  readonly built: string;
  /** Packs, then shows what is in the package. */
  readonly commands: readonly Command[];
  /** The package. */
  readonly target: string;
}

/** @param scratch the directory of this run for temporary files, absolute */
export function planPackage(config: PackageConfig, binaries: Binaries, scratch: string): PackagePlan {
  const { arch, outputDirectory, root, time, version } = config;
  const [stage, built] = [join(scratch, 'stage'), join(scratch, 'package.deb')];
  // What dpkg-deb writes itself has the same time.
  const command = cmd({ cwd: root, env: { SOURCE_DATE_EPOCH: String(time) } });
  const plain = cmd({ cwd: root });
  return {
    config,
    files: [...programs(binaries), ...documents(config), ...controlFiles(config)],
    scratch,
    stage,
    built,
    commands: [
      command`dpkg-deb --build --root-owner-group ${stage} ${built}`,
      plain`dpkg-deb --info ${built}`,
      plain`dpkg-deb --contents ${built}`,
    ],
    // An epoch is no part of a package's name.
    target: join(outputDirectory, `${DEB.name}_${version.replace(/^[0-9]+:/, '')}_${arch}.deb`),
  };
}

function programs({ cli, driver, gateway }: Binaries): PackagedFile[] {
  const program = (path: string, from: string) => ({ path, mode: 0o755, from, isProgram: true }) as const;
  return [
    program(`usr/bin/${CLI.binary}`, cli),
    program(`usr/bin/${COMPONENTS.gateway.binary}`, gateway),
    program(`usr/libexec/${DEB.name}/${DRIVER.binary}`, driver),
  ];
}

function documents({ licence, root, time, version }: PackageConfig): PackagedFile[] {
  const directory = `usr/share/doc/${DEB.name}`;
  const unit = `${DEB.service}.service`;
  return [
    { path: `usr/lib/systemd/user/${unit}`, mode: 0o644, from: authoredPath(root, unit) },
    { path: `${directory}/copyright`, mode: 0o644, from: Buffer.from(licence ?? `${DEB.licence}\n`) },
    { path: `${directory}/changelog.gz`, mode: 0o644, from: gzipped(changelog(version, time)) },
  ];
}

/** The replacement is a function: a `$` in a version would mean something. */
function controlFiles({ arch, control, root, version }: PackageConfig): PackagedFile[] {
  const text = control.replaceAll('@VERSION@', () => version).replaceAll('@ARCH@', arch);
  const scripts = ['postinst', 'prerm', 'postrm'].map((name): PackagedFile => {
    return { path: `DEBIAN/${name}`, mode: 0o755, from: authoredPath(root, `${name}.sh`) };
  });
  return [{ path: 'DEBIAN/control', mode: 0o644, from: Buffer.from(text) }, ...scripts];
}

/** @param time in seconds since 1970 */
export function changelog(version: string, time: number): string {
  const date = new Date(time * 1000).toUTCString().replace('GMT', '+0000');
  return `${DEB.name} (${version}) unstable; urgency=medium

  * Release build.

 -- ${DEB.maintainer}  ${date}
`;
}

const GZIP_SYSTEM = { at: 9, unix: 3 } as const;

/** As `gzip -n -9` does it, on every system. */
function gzipped(text: string): Buffer {
  const bytes = gzipSync(text, { level: 9 });
  bytes[GZIP_SYSTEM.at] = GZIP_SYSTEM.unix;
  return bytes;
}
