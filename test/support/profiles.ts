import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A copy of the shipped local profile that a test may spoil. */
export class ScratchProfile {
  readonly folder = mkdtempSync(join(tmpdir(), 'probity-profile-'));
  readonly wiring = join(this.folder, 'wiring.yaml');
  readonly access = join(this.folder, 'policy', 'access.yaml');

  constructor(shipped = 'local') {
    cpSync(join(process.cwd(), 'profiles', shipped), this.folder, { recursive: true });
  }

  /** Replaces text that must be there, and gives the 1-based line on which the replacement begins. */
  edit(file: string, from: string, to: string): number {
    const text = readFileSync(file, 'utf8');
    const at = text.indexOf(from);
    if (at < 0) throw new Error(`"${from}" does not stand in ${file}`);
    writeFileSync(file, text.slice(0, at) + to + text.slice(at + from.length));
    return text.slice(0, at).split('\n').length;
  }

  /** Without the policies that the program of a test has no units for. */
  only(policies: readonly string[]): void {
    const folder = join(this.folder, 'policy');
    for (const file of readdirSync(folder))
      if (!policies.includes(file.replace('.yaml', ''))) rmSync(join(folder, file));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
