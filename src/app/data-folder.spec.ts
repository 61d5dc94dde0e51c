import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AccessPolicy } from '../substrate/identity/access-policy.schema.js';
import { digestText } from '../rails/digest.js';
import { openDataFolder } from './data-folder.js';
import { openLocalKeys, readKey } from './local-keys.js';
import { Peers } from './peers.js';

const POLICY: AccessPolicy = {
  roles: { operator: ['*'] },
  anonymous: { roles: [] },
  service: { roles: [] },
  api_keys: [],
  generated_keys: [{ key_id: 'operator', actor_id: 'HUMAN::operator', roles: ['operator'] }],
  oidc: [],
};

describe('what a process keeps in its data folder', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'probity-data-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
  });

  describe('keys', () => {
    it('are made once, found again, and known to the policy by their hash alone', () => {
      const { keys } = openDataFolder(root);
      const first = openLocalKeys(POLICY, keys);
      const key = readKey(join(keys, 'operator.key'));
      expect(key).toMatch(/^pk_operator_[A-Za-z0-9_-]{43}$/);
      expect(first.policy.api_keys).toEqual([
        { key_id: 'operator', key_sha256: digestText(key), actor_id: 'HUMAN::operator', roles: ['operator'] },
      ]);
      expect(JSON.stringify(first)).not.toContain(key);
      expect(openLocalKeys(POLICY, keys)).toEqual(first);
    });

    it('can be read by their owner alone, and nothing else is left beside them', () => {
      const { keys } = openDataFolder(root);
      openLocalKeys(POLICY, keys);
      expect(statSync(join(keys, 'operator.key')).mode & 0o777).toBe(0o600);
      expect(readdirSync(keys)).toEqual(['operator.key']);
    });

    it('are not made where the policy wants none', () => {
      const { keys } = openDataFolder(root);
      expect(openLocalKeys({ ...POLICY, generated_keys: [] }, keys).policy.api_keys).toEqual([]);
      expect(readdirSync(keys)).toEqual([]);
    });
  });

  describe('peers', () => {
    it('finds the process that runs a role, and forgets the one that withdrew', () => {
      const { peers } = openDataFolder(root);
      const [mine, theirs] = [new Peers(peers), new Peers(peers)];
      mine.announce({ pid: process.pid, roles: ['ledger'], url: 'http://127.0.0.1:1' });
      expect(theirs.addressOf('ledger')).toBe('http://127.0.0.1:1');
      expect(theirs.addressOf('teller')).toBeUndefined();
      mine.withdraw();
      expect(theirs.addressOf('ledger')).toBeUndefined();
    });

    it('passes over one that is dead, and removes what it left', () => {
      const { peers } = openDataFolder(root);
      const dead = spawnSync(process.execPath, ['-e', '']).pid;
      new Peers(peers).announce({ pid: dead, roles: ['ledger'], url: 'http://127.0.0.1:1' });
      expect(new Peers(peers).addressOf('ledger')).toBeUndefined();
      expect(readdirSync(peers)).toEqual([]);
    });

    it('is not confused by a file that is not its own', () => {
      const { peers } = openDataFolder(root);
      writeFileSync(join(peers, '1.json'), '{"pid":');
      expect(new Peers(peers).living()).toEqual([]);
    });
  });

  it('is opened as often as one likes', () => {
    expect(openDataFolder(root)).toEqual(openDataFolder(root));
  });

  it('refuses a path that is a file', () => {
    const file = join(root, 'file');
    writeFileSync(file, 'x');
    expect(() => openDataFolder(file)).toThrow(`${file} is not a folder`);
    expect(readFileSync(file, 'utf8')).toBe('x');
  });
});
