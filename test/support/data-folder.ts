import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A data folder as an operator's start makes it: others may pass through. When root runs the tests the embedded database
 * runs as another user, and would otherwise have to keep its files elsewhere, where removing this folder leaves them.
 */
export function scratchDataFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `probity ${name} `));
  chmodSync(folder, 0o711);
  return folder;
}
