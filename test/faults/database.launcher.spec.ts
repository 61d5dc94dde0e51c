import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, chown, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chooseAccount } from '../../src/substrate/database/embedded/account.js';
import {
  isRunning,
  isServer,
  Member,
  newDataFolder,
  readPid,
  untilDead,
  untilNobodyRuns,
  watchdogPid,
  type MemberOptions,
} from '../support/database-launch.js';
import { eventually } from '../support/eventually.js';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

describe('embedded launcher', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let members: Member[];

  beforeEach(async () => {
    ({ folder, remove } = await newDataFolder());
    members = [];
  });
  afterEach(async () => {
    await Promise.all(members.map((member) => member.leave()));
    await remove();
  });

  const join_ = (options: MemberOptions = {}, at = folder): Member => {
    const member = new Member(at, options);
    members.push(member);
    return member;
  };

  describe('sharing', () => {
    it('starts once, lets others in, and ends with the last one out', async () => {
      const first = join_();
      const started = await first.word();
      expect(started.how).toBe('started');
      const second = join_();
      const joined = await second.word();
      expect(joined).toMatchObject({ how: 'joined', port: started.port, postmasterPid: started.postmasterPid });
      expect(await first.leave()).toBe(0);
      expect(await second.works()).toBe(true);
      expect(await second.leave()).toBe(0);
      // The last one out waits for the end, so that Ctrl-C leaves no process.
      expect(isRunning(folder)).toBe(false);
      const again = join_();
      expect(await again.word()).toMatchObject({ how: 'started', port: started.port });
    });

    it('starts one server when several processes start at once in an empty folder', async () => {
      const words = await Promise.all([1, 2, 3, 4].map(() => join_().word()));
      expect(words.map(({ how }) => how).sort()).toEqual(['joined', 'joined', 'joined', 'started']);
      expect(new Set(words.map(({ postmasterPid }) => postmasterPid)).size).toBe(1);
    });

    it('keeps secrets to their owner and the server to loopback', async () => {
      await join_().word();
      expect((await stat(join(folder, 'secrets.json'))).mode & 0o777).toBe(0o600);
      expect((await stat(join(folder, 'home'))).mode & 0o777).toBe(0o700);
      const status = readFileSync(join(folder, 'home', 'cluster', 'postmaster.pid'), 'utf8').split('\n');
      expect([status[4], status[5]]).toEqual(['', '127.0.0.1']);
      const { adminPassword, roleSecret } = JSON.parse(readFileSync(join(folder, 'secrets.json'), 'utf8')) as Record<
        string,
        string
      >;
      const log = readFileSync(join(folder, 'home', 'postgres.log'), 'utf8');
      for (const secret of [adminPassword, roleSecret]) expect(log.includes(secret ?? '-')).toBe(false);
      expect(readdirSync(join(folder, 'home')).filter((name) => name.includes('half'))).toEqual([]);
    });
  });

  describe('killed processes', () => {
    it('ends the server within 5 s of the SIGKILL of its only member', async () => {
      const only = join_();
      await only.word();
      await only.kill();
      await untilNobodyRuns(folder, 5_000);
    });

    it('leaves the others working when the process that started the server is killed', async () => {
      const first = join_();
      await first.word();
      const second = join_();
      await second.word();
      await first.kill();
      expect(await second.works()).toBe(true);
      await second.leave();
      expect(isRunning(folder)).toBe(false);
    });

    it('leaves the server to the others at Ctrl-C in the terminal that it was started from', async () => {
      const first = join_();
      const { postmasterPid } = await first.word();
      const second = join_();
      await second.word();
      await first.interrupt();
      expect(await second.works()).toBe(true);
      expect(readPid(folder)).toBe(postmasterPid);
    });

    it('starts after a SIGKILL in the middle of initdb', async () => {
      const first = join_();
      await eventually(
        () =>
          existsSync(join(folder, 'home')) &&
          readdirSync(join(folder, 'home')).some((name) => name.startsWith('cluster.half')),
      );
      await first.kill();
      expect(existsSync(join(folder, 'home', 'cluster'))).toBe(false);
      expect((await join_().word()).how).toBe('started');
    });

    it('starts after a SIGKILL at any moment of a start, and leaves nothing behind', async () => {
      const delaysMs = process.env['PROBITY_FAULTS'] === 'full' ? range(0, 1_500, 20) : [0, 120, 250, 400, 600, 900];
      for (const delayMs of delaysMs) {
        const victim = join_();
        // The delay is the fault itself: where in the start the kill falls.
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        await victim.kill();
      }
      const survivor = join_();
      expect(await survivor.word()).toMatchObject({ how: expect.stringMatching(/^(started|joined)$/) });
      expect(await survivor.works()).toBe(true);
      await survivor.leave();
      expect(isRunning(folder)).toBe(false);
      // In full the delays alone are 57 s.
    }, 180_000);

    it('starts a killed server again on the same port', async () => {
      const member = join_();
      const { postmasterPid = 0, port } = await member.word();
      process.kill(postmasterPid, 'SIGKILL');
      await untilDead(postmasterPid);
      await eventually(() => isServer(folder) && readPid(folder) !== postmasterPid, Boolean, 20_000);
      await eventually(() => member.works(), Boolean, 20_000);
      expect(readFileSync(join(folder, 'home', 'port'), 'utf8').trim()).toBe(String(port));
      await member.leave();
      expect(isRunning(folder)).toBe(false);
    });

    it('replaces a killed watchdog while the server runs on', async () => {
      const member = join_();
      const { postmasterPid } = await member.word();
      const watchdog = watchdogPid(folder);
      process.kill(watchdog, 'SIGKILL');
      await eventually(() => watchdogPid(folder) !== watchdog, Boolean, 10_000);
      expect(readPid(folder)).toBe(postmasterPid);
      await member.kill();
      await untilNobodyRuns(folder, 5_000);
    });

    it('adopts a server whose members and watchdog were all killed', async () => {
      const member = join_();
      const { postmasterPid } = await member.word();
      const watchdog = watchdogPid(folder);
      member.child.kill('SIGSTOP');
      process.kill(watchdog, 'SIGKILL');
      await untilDead(watchdog);
      await member.kill();
      expect(isServer(folder)).toBe(true);
      const next = join_();
      expect(await next.word()).toMatchObject({ how: 'joined', postmasterPid });
      await next.leave();
      expect(isRunning(folder)).toBe(false);
    });

    it('has a watchdog touch nothing whose starter died before it had written down who watches', async () => {
      const member = join_();
      await member.word();
      const home = join(folder, 'home');
      // To it, the end of the file is the end of its starter.
      const orphan = spawn('/bin/sh', [join(home, 'watchdog.sh'), home, '30'], { cwd: home, stdio: 'ignore' });
      await once(orphan, 'exit');
      expect(existsSync(join(home, 'members'))).toBe(true);
      expect(await member.works()).toBe(true);
      expect(await join_().word()).toMatchObject({ how: 'joined' });
    });

    it('waits for a watchdog that is ending the server, and then starts anew', async () => {
      const member = join_();
      const { postmasterPid = 0 } = await member.word();
      // A stopped server cannot end, so the end that the watchdog asks for lasts as long as this test wants.
      process.kill(postmasterPid, 'SIGSTOP');
      await member.kill();
      await eventually(() => !existsSync(join(folder, 'home', 'members')));
      const next = join_();
      const said = next.word();
      await eventually(() => existsSync(join(folder, 'start.lock')));
      // Time for a start that does not wait to take the dying server for a live one.
      await new Promise((resolve) => setTimeout(resolve, 300));
      process.kill(postmasterPid, 'SIGCONT');
      expect((await said).how).toBe('started');
      expect(await next.works()).toBe(true);
    });
  });

  describe('left-overs', () => {
    const stopped = async (): Promise<void> => {
      const member = join_();
      await member.word();
      await member.leave();
      expect(isRunning(folder)).toBe(false);
    };
    const pidFile = (): string => join(folder, 'home', 'cluster', 'postmaster.pid');
    const leavePidFile = async (pid: number): Promise<void> => {
      const cluster = join(folder, 'home', 'cluster');
      await writeFile(
        pidFile(),
        `${pid}\n${cluster}\n1700000000\n5432\n\n127.0.0.1\n  12345678        99\nready   \n`,
        { mode: 0o600 },
      );
      const { ids } = chooseAccount(folder);
      if (ids !== undefined) await chown(pidFile(), ids.uid, ids.gid);
    };

    it('starts over the lock file of a dead server', async () => {
      await stopped();
      await leavePidFile(2 ** 22 + 7);
      expect((await join_().word()).how).toBe('started');
    });

    it('starts over a lock file whose number now belongs to another program of the same user', async () => {
      await stopped();
      const { ids } = chooseAccount(folder);
      const stranger = spawn('sleep', ['60'], { stdio: 'ignore', cwd: '/', ...ids });
      try {
        await leavePidFile(stranger.pid ?? 0);
        expect((await join_().word()).how).toBe('started');
        expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
      } finally {
        stranger.kill('SIGKILL');
        await once(stranger, 'exit');
      }
    });

    it('does not signal another program whose number stands in the lock file when the last member goes', async () => {
      const member = join_();
      const { postmasterPid = 0 } = await member.word();
      const { ids } = chooseAccount(folder);
      const stranger = spawn('sleep', ['60'], { stdio: 'ignore', cwd: '/', ...ids });
      try {
        member.child.kill('SIGSTOP');
        const watchdog = watchdogPid(folder);
        process.kill(postmasterPid, 'SIGKILL');
        await untilDead(postmasterPid);
        await leavePidFile(stranger.pid ?? 0);
        await member.kill();
        await untilDead(watchdog, 10_000);
        expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
      } finally {
        stranger.kill('SIGKILL');
        await once(stranger, 'exit');
      }
    });

    it.each([
      ['of a dead process', '4194311 12345\n'],
      ['of a number that another process has now', `${process.pid} 1\n`],
      ['with nothing in it', ''],
    ])('takes a start lock %s', async (_, content) => {
      await mkdir(folder, { recursive: true });
      writeFileSync(join(folder, 'start.lock'), content);
      expect((await join_().word()).how).toBe('started');
      expect(existsSync(join(folder, 'start.lock'))).toBe(false);
    });
  });

  describe('one clear sentence', () => {
    it('says that the wanted port is taken', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const { port } = other.address() as AddressInfo; // It listens on TCP.
      expect(await join_({ port }).word()).toEqual({
        code: 'DATABASE_START_FAILED',
        detail: `port ${port} of the database is taken by another program`,
      });
      other.close();
      // The failed start leaves nothing in the way.
      await untilNobodyRuns(folder);
      expect((await join_().word()).how).toBe('started');
    });

    it('takes another port when the last one is taken and none was asked for', async () => {
      const first = join_();
      const { port } = await first.word();
      await first.leave();
      const other = createServer().listen(port, '127.0.0.1');
      await once(other, 'listening');
      const word = await join_().word();
      expect(word.how).toBe('started');
      expect(word.port).not.toBe(port);
      other.close();
    });

    it('says that the path is too long', async () => {
      const long = join(folder, ...Array.from({ length: 5 }, () => 'x'.repeat(200)));
      const word = await join_({}, long).word();
      expect(word.code).toBe('CONFIG_DATA_FOLDER');
      expect(word.detail).toMatch(/has \d+ bytes and the database takes 900/);
    });

    it('says that the folder may not be written', async () => {
      // Root may write everywhere, so another user tries where root runs the tests.
      await mkdir(folder, { mode: 0o555 });
      await chmod(folder, 0o555);
      const word = await join_(isRoot ? { uid: NOBODY } : {}).word();
      expect(word).toEqual({
        code: 'CONFIG_DATA_FOLDER',
        detail: `${folder} cannot be used: this user may not read or write there`,
      });
      await chmod(folder, 0o755);
    });

    it('says that a file stands where the folder should be', async () => {
      await writeFile(folder, '');
      expect((await join_().word()).code).toBe('CONFIG_DATA_FOLDER');
    });

    it('says which version made the data', async () => {
      const first = join_();
      await first.word();
      await first.leave();
      writeFileSync(join(folder, 'home', 'cluster', 'PG_VERSION'), '17\n');
      const word = await join_().word();
      expect(word.code).toBe('DATABASE_DATA_VERSION');
      expect(word.detail).toMatch(/made by Postgres 17, and this program brings Postgres 18$/);
    });

    it('says that the secrets are gone', async () => {
      const first = join_();
      await first.word();
      await first.leave();
      await rm(join(folder, 'secrets.json'));
      expect(await join_().word()).toMatchObject({
        code: 'CONFIG_DATA_FOLDER',
        detail: expect.stringContaining('secrets.json is missing'),
      });
    });

    it('says that the disk is full, and starts when it no longer is', async () => {
      // A limit on the size of files stands in for a full disk: every user can set it, and the server meets the same errors.
      const word = await join_({ fileBlocksMax: 200 }).word();
      expect(word).toEqual({ code: 'DATABASE_START_FAILED', detail: `the disk or quota that holds ${folder} is full` });
      await untilNobodyRuns(folder);
      expect((await join_().word()).how).toBe('started');
    });
  });

  describe('users', () => {
    (isRoot ? it : it.skip)('runs as another user than root, who owns nothing but the home', async () => {
      await join_().word();
      const { ids } = chooseAccount(folder);
      expect((await stat(join(folder, 'home', 'cluster'))).uid).toBe(ids?.uid);
      expect((await stat(join(folder, 'secrets.json'))).uid).toBe(0);
      expect((await stat(`/proc/${readPid(folder)}`)).uid).not.toBe(0);
    });

    (isRoot ? it : it.skip)('runs for a user who is not root', async () => {
      const member = join_({ uid: NOBODY });
      expect((await member.word()).how).toBe('started');
      expect((await stat(join(folder, 'secrets.json'))).uid).toBe(NOBODY);
      // Root comes later, and the server stays with the folder's owner.
      expect((await join_().word()).how).toBe('joined');
    });

    (isRoot ? it : it.skip)('finds a place that the server can reach when the folder is closed to it', async () => {
      await mkdir(folder, { mode: 0o700 });
      const member = join_();
      expect((await member.word()).how).toBe('started');
      await member.leave();
      const { realpath } = await import('node:fs/promises');
      const home = await realpath(join(folder, 'home'));
      expect(home).toMatch(/^\/var\/lib\/probity\//);
      await rm(home, { recursive: true });
    });
  });
});

function range(from: number, to: number, step: number): readonly number[] {
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);
}
