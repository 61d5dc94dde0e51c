import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { request as send } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { TRAFFIC_TOPIC } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { asOffset, asTopicName } from '../../src/rails/eb-ref.js';
import { isErrorCode } from '../../src/rails/errors/registry.js';
import type { RunPins } from '../../src/rails/pins.js';
import { Captured, cli } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { heldBytes } from '../support/memory.js';
import { ScratchProfile } from '../support/profiles.js';
import { putLiveRun } from '../support/run-facts.js';
import { type Mutant, Mutants } from './ingestion-fuzz.mutants.js';
import { type Opinion, type Oracle, oracleOf } from './ingestion-fuzz.oracle.js';

const CASES = process.env['PROBITY_FAULTS'] === 'full' ? 10_000 : 1_500;
const SEED = Number(process.env['PROBITY_FUZZ_SEED'] ?? 20_261_123);
/** Sent together: enough to overlap, few enough to say which of them it was. */
const WAVE = 25;

/** What became of one mutant. */
interface Outcome {
  readonly name: string;
  readonly opinion: Opinion;
  /** 0 where the client did not wait for an answer. */
  readonly status: number;
  readonly decision: string;
  readonly code: string;
  /** What stood under its id before. */
  readonly standing: string | undefined;
}

describe('the door under attack', () => {
  const folder = scratchDataFolder('fuzz');
  const profile = new ScratchProfile();
  const logs = new Captured();
  const outcomes: Outcome[] = [];
  /** Content by event id, and the text that was admitted first. */
  const admitted = new Map<string, string>();
  const admittedTexts: string[] = [];
  let running: Running;
  let run: RunPins;
  let oracle: Oracle;
  let post: Post;
  let usedFirst = 0;
  let usedLast = 0;

  beforeAll(async () => {
    const admission = join(profile.folder, 'policy', 'ig.admission.yaml');
    profile.edit(admission, 'principals: [SYSTEM::edge]', 'principals: [HUMAN::operator]');
    expect((await cli(['policy', 'seal', admission])).code).toBe(0);
    running = await boot({
      table: UNITS,
      selected: UNITS.units.filter(({ role }) => role === 'ig'),
      profile: loadProfile(profile.folder, policyKindsOf(UNITS)),
      folder: openDataFolder(folder),
      port: 0,
      logs,
    });
    const { objects } = running.parts;
    run = await putLiveRun(objects, { key: 'fuzz', scenario: 'shop' });
    const waiting = await putLiveRun(objects, { key: 'fuzz-waiting', scenario: 'shop-2', state: 'REQUESTED' });
    const unknown: RunPins = { ...run, run_id: 'f'.repeat(32) as RunPins['run_id'] };
    oracle = oracleOf(run);
    post = poster(running.url, readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim());

    const material = { run, others: [waiting, unknown], admitted: admittedTexts };
    const mutants = new Mutants(SEED, material);
    for (let wave = 0; wave * WAVE < CASES; wave += 1) {
      const together = Array.from({ length: WAVE }, () => mutants.next());
      const isOfLines = wave % 2 === 1;
      const asLines = together.filter((mutant) => isOfLines && isLine(mutant));
      const byThemselves = together.filter((mutant) => !asLines.includes(mutant));
      const answers = await Promise.all([...byThemselves.map(post.one), post.many(asLines)]);
      for (const [index, mutant] of [...byThemselves, ...asLines].entries()) {
        const answer = answers.flat()[index];
        if (answer === undefined) throw new Error(`no answer to "${mutant.name}" (seed ${SEED})`);
        const opinion = oracle(mutant);
        outcomes.push({ name: mutant.name, opinion, ...answer, standing: remember(opinion, answer.decision) });
      }
      if (wave === Math.floor(CASES / WAVE / 3)) usedFirst = await heldBytes();
    }
    usedLast = await heldBytes();
  }, 600_000);

  /** Notes what an admitted mutant says, and gives what had stood under its id. */
  function remember(opinion: Opinion, decision: string): string | undefined {
    if (!opinion.valid) return undefined;
    const standing = admitted.get(opinion.id);
    if (decision === 'ADMIT' && standing === undefined) {
      admitted.set(opinion.id, opinion.content);
      admittedTexts.push(opinion.text);
    }
    return standing;
  }

  afterAll(async () => {
    await running.stop();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it(`answers ${CASES} mutants as an independent oracle wants: none that is valid refused, none admitted that is not`, () => {
    expect(disagreements(outcomes, (opinion) => opinion)).toEqual([]);
    const valid = outcomes.filter(({ opinion }) => opinion.valid).length;
    // A fuzzer that never hits, or never misses, tests one half of the gate alone.
    expect(valid).toBeGreaterThan(CASES / 10);
    expect(valid).toBeLessThan(CASES / 2);
  });

  it('would have noticed a gate that admits what is not valid, and one that refuses what is', () => {
    const trusting = (opinion: Opinion): Opinion =>
      opinion.valid ? opinion : { valid: true, text: '', id: '', content: '' };
    const distrustful = (): Opinion => ({ valid: false, why: 'nothing is' });
    expect(disagreements(outcomes, trusting).length).toBeGreaterThan(CASES / 3);
    expect(disagreements(outcomes, distrustful).length).toBeGreaterThan(CASES / 20);
  });

  it('answers each with a code of the registry, and none with a failure of its own', () => {
    const strange = outcomes.filter(({ status, decision, code }) => {
      if (status === 0) return false;
      return decision === 'ADMIT' || decision === 'DUPLICATE' ? code !== '' : !isErrorCode(code) || status >= 500;
    });
    expect(strange.map(({ name, status, code }) => `${name}: ${status} ${code}`)).toEqual([]);
    expect(logs.text).not.toContain('http_internal_error');
  });

  it('has exactly the admitted ones on the topic, each once, and as they were sent', async () => {
    const onTopic = await recordsOf(running);
    expect(onTopic.map(({ event_id }) => event_id).sort()).toEqual([...admitted.keys()].sort());
    for (const event of onTopic) {
      const opinion = oracle({ name: '', bytes: Buffer.from(JSON.stringify(event)), headers: {}, sending: 'whole' });
      expect(opinion).toMatchObject({ valid: true, content: admitted.get(event.event_id) });
    }
  });

  it('holds no more memory after the last than after the first third', () => {
    // What this test itself keeps of a case is up to two kilobytes; the gate's caches fill up in the first third.
    expect(usedLast - usedFirst).toBeLessThan(20 * 1024 * 1024 + CASES * 2_048);
  });
});

/** Sentences about each case in which the gate and the oracle differ; the seed and the number find it again. */
function disagreements(outcomes: readonly Outcome[], revised: (opinion: Opinion) => Opinion): readonly string[] {
  return outcomes.flatMap((outcome, index) => {
    const opinion = revised(outcome.opinion);
    const wanted = wantedOf(opinion, outcome.standing);
    const got = outcome.decision === '' && outcome.status === 0 ? 'QUARANTINE' : outcome.decision;
    if (wanted === got) return [];
    const why = opinion.valid ? 'valid' : opinion.why;
    return [`case ${index} of seed ${SEED}, "${outcome.name}": ${wanted} (${why}), but ${got} ${outcome.code}`];
  });
}

function wantedOf(opinion: Opinion, standing: string | undefined): string {
  if (!opinion.valid) return 'QUARANTINE';
  if (standing === undefined) return 'ADMIT';
  return standing === opinion.content ? 'DUPLICATE' : 'QUARANTINE';
}

/** A refusal without a receipt counts as QUARANTINE here: what matters is that nothing was admitted. */
type Answer = Pick<Outcome, 'status' | 'decision' | 'code'>;

interface Post {
  readonly one: (mutant: Mutant) => Promise<Answer>;
  readonly many: (mutants: readonly Mutant[]) => Promise<readonly Answer[]>;
}

function poster(base: string, key: string): Post {
  const authorization = `Bearer ${key}`;
  const vanish = async ({ bytes }: Mutant): Promise<Answer> => {
    const request = send(`${base}/v1/events`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', 'content-length': String(bytes.byteLength) },
    });
    request.on('error', () => undefined);
    const closed = new Promise((resolve) => request.once('close', resolve));
    request.write(bytes.subarray(0, bytes.byteLength >> 1), () => request.destroy());
    await closed;
    return { status: 0, decision: '', code: '' };
  };
  const inPieces = async ({ bytes }: Mutant): Promise<Answer> => {
    const request = send(`${base}/v1/events`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
    });
    const response = once(request, 'response');
    for (let at = 0; at < bytes.byteLength; at += 100) {
      request.write(bytes.subarray(at, at + 100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    request.end();
    const [answer] = (await response) as [AsyncIterable<Buffer> & { readonly statusCode: number }];
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece);
    return answerOf(answer.statusCode, JSON.parse(Buffer.concat(pieces).toString()) as object);
  };
  const one = async (mutant: Mutant): Promise<Answer> => {
    if (mutant.sending === 'vanishing') return await vanish(mutant);
    if (mutant.sending === 'pieces') return await inPieces(mutant);
    const headers = { authorization, 'content-type': 'application/json', ...mutant.headers };
    const response = await fetch(`${base}/v1/events`, { method: 'POST', headers, body: new Uint8Array(mutant.bytes) });
    return answerOf(response.status, (await response.json()) as object);
  };
  const many = async (mutants: readonly Mutant[]): Promise<readonly Answer[]> => {
    if (mutants.length === 0) return [];
    const body = new Uint8Array(Buffer.concat(mutants.flatMap(({ bytes }) => [bytes, Buffer.from('\n')])));
    const headers = { authorization, 'content-type': 'application/x-ndjson' };
    const response = await fetch(`${base}/v1/events/batch?receipts=short`, { method: 'POST', headers, body });
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    return lines.map((line) => answerOf(response.status, JSON.parse(line) as object));
  };
  return { one, many };
}

function answerOf(status: number, body: object): Answer {
  const { decision, code, reason_codes } = body as {
    readonly decision?: string;
    readonly code?: string;
    readonly reason_codes?: readonly string[];
  };
  const reason = reason_codes?.[0];
  return {
    status,
    decision: decision ?? 'QUARANTINE',
    code: code ?? (reason === undefined ? '' : `IG_${reason}`),
  };
}

/** Whether it can stand on a line of its own, at the beginning of a body too. */
function isLine({ bytes, headers, sending }: Mutant): boolean {
  return (
    sending === 'whole' &&
    Object.keys(headers).length === 0 &&
    !bytes.includes(0x0a) &&
    bytes.toString('latin1').trim() !== '' &&
    !bytes.subarray(0, 3).equals(Buffer.from('efbbbf', 'hex'))
  );
}

async function recordsOf(running: Running): Promise<readonly { readonly event_id: string }[]> {
  const { bus } = running.parts;
  const topic = asTopicName(TRAFFIC_TOPIC);
  const marks = await bus.marks(topic);
  const missing = new Map(marks.map(({ partition, highWater }) => [partition, Number(highWater)]));
  const reader = await bus.openReader(marks.map(({ partition }) => ({ topic, partition, offset: asOffset(0) })));
  const events: { readonly event_id: string }[] = [];
  try {
    while ([...missing.values()].some((left) => left > 0)) {
      for (const { partition, records } of await reader.poll({ recordsMax: 1_000, waitMs: 1_000 })) {
        missing.set(partition, (missing.get(partition) ?? 0) - records.length);
        for (const { value } of records) events.push(JSON.parse(Buffer.from(value).toString()) as { event_id: string });
      }
    }
  } finally {
    await reader.close();
  }
  return events;
}
