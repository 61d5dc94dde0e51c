import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cli } from '../support/cli.js';
import { ScratchProfile } from '../support/profiles.js';

/** What an operator can write wrongly: each is one sentence with file, line and remedy, and exit code 2. */
describe('faults of the configuration', () => {
  let profile: ScratchProfile;
  beforeEach(() => {
    profile = new ScratchProfile();
  });
  afterEach(() => {
    profile.remove();
  });

  const shippedRevision = (): number => Number(/^revision: (\d+)$/m.exec(readFileSync(profile.access, 'utf8'))?.[1]);

  async function checked(): Promise<string> {
    const { code, stdout } = await cli(['check-config', '--profile', profile.folder]);
    expect(code).toBe(2);
    // The sentence, then code and remedy: nothing else, no stack.
    expect(stdout.trim().split('\n')).toHaveLength(2);
    return stdout;
  }

  it('accepts the shipped local profile: the twin of all that follow', async () => {
    const { code, stdout } = await cli(['check-config', '--profile', profile.folder]);
    expect(code).toBe(0);
    expect(stdout).toContain('is valid');
    expect(stdout).toMatch(new RegExp(`access\\s+${shippedRevision()}\\s+[0-9a-f]{64}`));
  });

  it('names a profile that does not exist, and those that do', async () => {
    const { code, stderr } = await cli(['check-config', '--profile', 'staging']);
    expect(code).toBe(2);
    expect(stderr).toContain('staging: there is no such profile; shipped are dev, local, prod');
    expect(stderr).toContain('CONFIG_UNREADABLE');
  });

  it('names a file that cannot be read', async () => {
    rmSync(profile.wiring);
    expect(await checked()).toContain(`${profile.wiring}:1: the file cannot be read (ENOENT)`);
  });

  it('names the line at which a file stops being YAML', async () => {
    const line = profile.edit(profile.wiring, '  host: 127.0.0.1', '  host: [127.0.0.1');
    const text = await checked();
    expect(text).toContain('CONFIG_UNREADABLE');
    expect(Number(/wiring\.yaml:(\d+): this is not YAML/.exec(text)?.[1])).toBeGreaterThanOrEqual(line);
  });

  it('names an unknown key, its line and the key that was meant', async () => {
    const line = profile.edit(profile.wiring, 'body_bytes_max:', 'body_byte_max:');
    const text = await checked();
    expect(text).toContain(
      `${profile.wiring}:${line}: unknown key "http.body_byte_max"; did you mean "body_bytes_max"?`,
    );
    expect(text).toContain('CONFIG_KEY_UNKNOWN');
  });

  it('names a value of the wrong kind and its line', async () => {
    const line = profile.edit(profile.wiring, 'port: 8080', 'port: high');
    expect(await checked()).toContain(`${profile.wiring}:${line}: "http.port" must be integer`);
  });

  it('names an adapter that does not exist, and those that do', async () => {
    const line = profile.edit(profile.wiring, 'kind: files', 'kind: tape');
    expect(await checked()).toContain(`:${line}: "objects.kind" must be one of: files, s3`);
  });

  it('refuses a secret written inline, without showing it', async () => {
    const line = profile.edit(profile.wiring, 'identity: {}', 'identity:\n  service_key: pk_abc_verysecretvalue') + 1;
    const text = await checked();
    expect(text).toContain(`${profile.wiring}:${line}: "identity.service_key" holds a secret in clear`);
    expect(text).toContain('CONFIG_SECRET_INLINE');
    expect(text).not.toContain('verysecretvalue');
  });

  it('refuses a password inside an address, without showing it', async () => {
    const line =
      profile.edit(profile.wiring, '  endpoints: {}', '  endpoints:\n    ig: http://me:hunter2secret@gate:8080') + 1;
    const text = await checked();
    expect(text).toContain(`:${line}: "rpc.endpoints.ig" holds a secret in clear`);
    expect(text).not.toContain('hunter2secret');
  });

  it('names a secret that is not there', async () => {
    const line =
      profile.edit(profile.wiring, 'identity: {}', 'identity:\n  service_key: { env: PROBITY_TEST_UNSET_VARIABLE }') +
      1;
    expect(await checked()).toContain(`:${line}: the environment variable PROBITY_TEST_UNSET_VARIABLE is not set`);
  });

  it('refuses a policy that was changed after its digest was taken', async () => {
    const line =
      readFileSync(profile.access, 'utf8')
        .split('\n')
        .findIndex((text) => text.startsWith('content_digest:')) + 1;
    profile.edit(profile.access, 'probe: [health.read]', 'probe: [health.read, ig.submit]');
    const text = await checked();
    expect(text).toContain(`${profile.access}:${line}: the content is not the one of this digest`);
    expect(text).toContain('CONFIG_POLICY_CHANGED');
    expect(text).toContain('probity policy seal');
  });

  it('accepts the change once it is sealed, under a higher revision, and keeps the comments', async () => {
    const before = shippedRevision();
    profile.edit(profile.access, 'probe: [health.read]', 'probe: [health.read, metrics.read]');
    const sealed = await cli(['policy', 'seal', profile.access]);
    expect(sealed.code).toBe(0);
    expect(sealed.stdout).toContain(`revision ${before + 1}`);
    const { code, stdout } = await cli(['check-config', '--profile', profile.folder]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`access\\s+${before + 1}\\s`));
    expect(readFileSync(profile.access, 'utf8')).toContain('# Prometheus.');
    expect((await cli(['policy', 'seal', profile.access])).stdout).toContain('is sealed already');
  });

  it('does not mind a change that changes nothing: comments and layout are not content', async () => {
    appendFileSync(profile.access, '\n# a remark\n');
    expect((await cli(['check-config', '--profile', profile.folder])).code).toBe(0);
  });

  it('names a role of the policy that nothing defines', async () => {
    profile.edit(profile.access, 'roles: [probe, scraper, label_feed]', 'roles: [probe, scrapper]');
    await cli(['policy', 'seal', profile.access]);
    expect(await checked()).toContain('no role is called scrapper');
  });

  it('names a missing policy', async () => {
    rmSync(profile.access);
    expect(await checked()).toContain('no policy "access" here');
  });

  it('shows all faults at once', async () => {
    profile.edit(profile.wiring, 'port: 8080', 'port: high');
    profile.edit(profile.wiring, 'log_level: info', 'log_level: loud');
    writeFileSync(profile.access, 'policy_id: access\n');
    const { code, stdout } = await cli(['check-config', '--profile', profile.folder, '--json']);
    expect(code).toBe(2);
    const { faults } = JSON.parse(stdout) as { faults: readonly { file: string; line: number }[] };
    expect(faults.filter(({ file }) => file === profile.wiring)).not.toHaveLength(0);
    expect(new Set(faults.map(({ file, line }) => `${file}:${line}`)).size).toBeGreaterThanOrEqual(3);
  });

  it.each([
    ['an unknown role', ['serve', '--role', 'bouncer'], /--role bouncer: there is no role "bouncer"/],
    ['an unknown option', ['serve', '--rol', 'all'], /unknown option '--rol'/],
    ['an unknown command', ['sevre'], /unknown command|too many arguments/],
    ['a port that is none', ['serve', '--port', 'eighty'], /a port is a whole number/],
    ['a data folder that is a file', ['serve', '--data', 'package.json'], /package\.json is not a folder/],
  ])('%s ends with exit code 2 and a sentence', async (_name, words, sentence) => {
    const { code, stderr } = await cli(words);
    expect(stderr).toMatch(sentence);
    expect(code).toBe(2);
  });
});
