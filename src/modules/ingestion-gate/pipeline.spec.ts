import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { refusal } from '../../substrate/bus/contract/kit.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Receipt } from './ingestion-gate.port.js';
import { Pipeline } from './pipeline.js';
import { type Arrival, type Judged } from './writer.js';

/** A pipeline whose batches are written when the test says so, and then answered with their own texts. */
function rig({ failing = () => false }: { readonly failing?: (texts: readonly string[]) => boolean } = {}) {
  const written: string[][] = [];
  const waiting: (() => void)[] = [];
  let held = false;
  const pipeline = new Pipeline<null>({
    judge: (arrivals) =>
      Promise.resolve({ judged: arrivals.map((arrival) => ({ arrival }) as unknown as Judged), policy: null }),
    write: async ({ judged }) => {
      const texts = judged.map(({ arrival }) => arrival.text);
      if (held) await new Promise<void>((resolve) => waiting.push(resolve));
      if (failing(texts)) throw new ProbityError('DATABASE_UNAVAILABLE', 'failed by the test');
      written.push(texts);
      return texts.map((text) => ({ receipt_id: text }) as unknown as Receipt);
    },
    fault: () => new ProbityError('IG_LEDGER_UNHEALTHY', 'failed by the test'),
  });
  const submit = (texts: readonly string[], signal = new AbortController().signal) =>
    pipeline.submit(
      texts.map((text): Arrival => ({ text, principalId: 'SYSTEM::edge', headers: {} })),
      signal,
    );
  return {
    pipeline,
    written,
    submit,
    hold: () => {
      held = true;
    },
    release: () => {
      held = false;
      waiting.splice(0).forEach((resolve) => resolve());
    },
    /** Until nothing moves any more that does not wait for the test. */
    settle: async () => {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const texts = (word: string, count: number) => Array.from({ length: count }, (_, number) => `${word}${number}`);
const idsOf = (receipts: readonly Receipt[]) => receipts.map(({ receipt_id }) => receipt_id as string);

describe('calls that overlap', () => {
  it('are answered each with its own, in order, whatever their sizes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(2_500), { maxLength: 6 }), async (sizes) => {
        const { submit, written, pipeline } = rig();
        const calls = sizes.map((size, call) => texts(`${call}.`, size));
        const answers = await Promise.all(calls.map((call) => submit(call)));
        expect(answers.map(idsOf)).toEqual(calls);
        expect(written.flat()).toEqual(calls.flat());
        expect(written.every((batch) => batch.length <= 1_000)).toBe(true);
        expect(pipeline.waitingBytes).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  it('share a batch when they come together, and gather while one is written', async () => {
    const { submit, written, hold, release, settle } = rig();
    const together = Promise.all([submit(['a']), submit(['b'])]);
    await together;
    expect(written).toEqual([['a', 'b']]);
    hold();
    const first = submit(['c']);
    await settle();
    const others = texts('d', 30).map((text) => submit([text]));
    await settle();
    expect(written).toHaveLength(1);
    release();
    await Promise.all([first, ...others]);
    expect(written.slice(1)).toEqual([['c'], texts('d', 30)]);
  });

  it('count the bytes that wait, and no longer than they wait', async () => {
    const { submit, pipeline, hold, release, settle } = rig();
    hold();
    const call = submit(['\u20ac\u20ac', 'abc']);
    await settle();
    expect(pipeline.waitingBytes).toBe(9);
    release();
    await call;
    expect(pipeline.waitingBytes).toBe(0);
  });

  it('fail alone, and no later part of a call that failed is written', async () => {
    const { submit, written, pipeline } = rig({ failing: (batch) => batch.includes('a1') });
    const failed = submit(texts('a', 2_500));
    await refusal(failed, 'IG_LEDGER_UNHEALTHY');
    expect(idsOf(await submit(['b']))).toEqual(['b']);
    expect(written.flat().filter((text) => text.startsWith('a'))).toEqual([]);
    expect(pipeline.waitingBytes).toBe(0);
  });

  it('are dropped when their caller is gone before their turn', async () => {
    const { submit, written, hold, release, settle, pipeline } = rig();
    hold();
    const first = submit(['a']);
    await settle();
    const gone = new AbortController();
    const dropped = submit(['b'], gone.signal);
    gone.abort();
    release();
    await refusal(dropped, 'RPC_CANCELLED');
    await first;
    await pipeline.drained();
    expect(written).toEqual([['a']]);
  });

  it('are all answered before the pipeline is drained', async () => {
    const { submit, pipeline, written } = rig();
    const call = submit(texts('a', 1_500));
    await pipeline.drained();
    expect(written.flat()).toHaveLength(1_500);
    expect(await call).toHaveLength(1_500);
    await pipeline.drained();
  });
});
