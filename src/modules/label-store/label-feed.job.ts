import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type LabelTarget, targetKey } from '../../rails/labels/target.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { Queryable, Transaction } from '../../substrate/database/database.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { eventIdOf, type LabelRow, LabelRowSchema } from '../data-engine/data-engine.port.js';
import { openSealedOutput, readRunFacts } from '../scenario-runner/run-facts.port.js';
import { type Entry, eventTarget } from './assertion.core.js';
import { type PlacedLabel, RowChoice, SEALED_LABEL_TYPE, sealedEntry, sealedLabelId } from './label-row.core.js';
import { FEED_POLICY, WORLD } from './label-store.policy.js';
import { type Feed, LabelStoreStore } from './label-store.store.js';
import { LabelTeller } from './label-teller.job.js';
import { LedgerStore } from './ledger.store.js';
import { SubmissionsStore } from './submissions.store.js';

const PART_BYTES_MAX = 8 * 1024 * 1024;
const LEASE_MS = 15_000;
const LOOK_AGAIN_MS = 5_000;
/** Labels that are looked for in the ledger at once. */
const LOOK_AT_ONCE = 2_000;

const rows = validatorOf(LabelRowSchema, 'the row');

/** Rows that were chosen, and the policy that chose them: a feed goes on under the one that it began with, whatever comes into force meanwhile. */
interface Chosen {
  readonly batch: readonly PlacedLabel[];
  readonly policyRev: PolicyRev;
}

type Progress = Parameters<LabelStoreStore['advance']>[3];

/**
 * Brings the labels of sealed worlds into the ledger as soon as their runs are READY, ahead of time: readers count each from its observed time
 * on, which is the world's. A batch and how far it has come are one commit.
 */
@Injectable()
export class LabelFeed implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder = randomUUID();
  readonly #ended = new AbortController();
  #bell = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: LabelStoreStore,
    private readonly ledger: LedgerStore,
    private readonly submissions: SubmissionsStore,
    private readonly teller: LabelTeller,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onApplicationBootstrap(): void {
    this.#loop = this.#run();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    this.#bell.abort();
    await this.#loop;
  }

  /** There may be something to publish. */
  wake(): void {
    this.#bell.abort();
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      this.#bell = new AbortController();
      try {
        const feed = await this.store.acquire(this.#holder, LEASE_MS);
        if (feed !== null) {
          await this.#publish(feed);
          continue;
        }
      } catch (error) {
        this.telemetry.logger.warn('labels_feed_failed', { detail: String(error) });
      }
      await this.clock.sleep(LOOK_AGAIN_MS, AbortSignal.any([this.#bell.signal, this.#ended.signal]));
    }
  }

  /**
   * Sealed rows up to where the feed is whose labels the ledger does not hold, though the policy in force wants them: by their events.
   * @throws ProbityError LBL_ROW_INVALID, OBJECTS_DIGEST_MISMATCH
   */
  async missing(feed: Feed, max: number): Promise<{ readonly count: number; readonly eventIds: readonly string[] }> {
    const choice = new RowChoice(this.policies.inForce(FEED_POLICY).body.publish);
    const eventIds: string[] = [];
    let count = 0;
    let row = 0;
    let batch: Omit<PlacedLabel, 'sealed'>[] = [];
    const look = async (): Promise<void> => {
      const named = batch.map((placed) => [sealedLabelId(placed, feed.pins, feed.output_id ?? ''), placed] as const);
      const standing = await this.submissions.standing(named.map(([id]) => id));
      const lost = named.filter(([id]) => !standing.has(id));
      count += lost.length;
      for (const [, { target }] of lost.slice(0, max - eventIds.length)) eventIds.push(targetId(target));
      batch = [];
    };
    for await (const { sealed, target } of this.#rows(feed)) {
      row += 1;
      if (row > feed.next_row) break;
      if (choice.wants(sealed)) batch.push({ row, target });
      if (batch.length >= LOOK_AT_ONCE) await look();
    }
    await look();
    return { count, eventIds };
  }

  async #publish(feed: Feed): Promise<void> {
    const { pins } = feed;
    try {
      const { published } = await this.#publishRows(feed);
      this.telemetry.logger.info('labels_published', { ...pins, published });
    } catch (error) {
      if (!isProbityError(error) || error.retryable || error.code === 'INTERNAL') throw error;
      const detail = `${error.code}: ${error.detail}`;
      this.telemetry.logger.error('labels_refused', { ...pins, detail });
      const at = (await this.store.find(feed.run_id)) ?? feed;
      const { next_row: nextRow, published, passed_over: passedOver } = at;
      await this.#advance(feed, { nextRow, published, passedOver, state: 'REFUSED', detail });
    }
  }

  async #publishRows(feed: Feed): Promise<{ readonly published: number }> {
    const { policy_rev: policyRev, body } = this.policies.inForce(FEED_POLICY);
    const { publish, batch_labels_max: batchMax } = body;
    const choice = new RowChoice(publish);
    let { published, passed_over: passedOver } = feed;
    let row = 0;
    let batch: PlacedLabel[] = [];
    for await (const { sealed, target } of this.#rows(feed)) {
      if (this.#ended.signal.aborted) throw new ProbityError('RPC_UNAVAILABLE', 'the process is being stopped');
      const wanted = choice.wants(sealed);
      row += 1;
      // Rows that were published before are read again for what they say of later ones, and not published again.
      if (row <= feed.next_row) continue;
      if (!wanted) {
        if (passedOver !== null) passedOver += 1;
        continue;
      }
      batch.push({ sealed, row, target });
      if (batch.length < batchMax) continue;
      published += batch.length;
      await this.#append(feed, { batch, policyRev }, { nextRow: row, published, passedOver, state: 'PUBLISHING' });
      batch = [];
    }
    published += batch.length;
    await this.#append(feed, { batch, policyRev }, { nextRow: row, published, passedOver, state: 'DONE' });
    return { published };
  }

  /** The rows in their sealed order, each part verified whole before one of its rows is used. */
  async *#rows({
    pins,
    output_id,
  }: Feed): AsyncGenerator<{ readonly sealed: LabelRow; readonly target: LabelTarget }, void> {
    const facts = await readRunFacts(this.objects, pins.run_id);
    const output = facts?.view.outputs.find((each) => each.output_id === output_id);
    if (facts === null || output === undefined)
      throw new ProbityError('LBL_ROW_INVALID', `the run has no output ${output_id ?? ''}`);
    const [traffic, ...more] = facts.view.traffic.flatMap(({ output_id: id }) => (id === undefined ? [] : [id]));
    if (traffic === undefined || more.length > 0)
      throw new ProbityError(
        'LBL_ROW_INVALID',
        'labels name rows of one sealed output of traffic, and the run has none or several',
      );
    const { run_id: _run, ...world } = pins;
    const { parts } = await openSealedOutput(this.objects, facts.view, output);
    for (const { ref } of parts) {
      const text = (await this.objects.read(ref, { bytesMax: PART_BYTES_MAX })).toString('utf8');
      for (const line of text.split('\n')) {
        if (line === '') continue;
        const checked = rows.check(parsed(line));
        if (!checked.ok)
          throw new ProbityError('LBL_ROW_INVALID', `${ref.locator}${checked.fault.at} ${checked.fault.says}`);
        yield { sealed: checked.value, target: eventTarget(eventIdOf(traffic, checked.value.key, world)) };
      }
    }
  }

  /** The rows enter the ledger, and how far it has come is noted, in one commit. */
  async #append(feed: Feed, chosen: Chosen, to: Omit<Progress, 'lastSeq'>): Promise<void> {
    await this.store.database.transaction(async (transaction) => {
      const entries = await this.#entriesOf(transaction, feed, chosen);
      const appended = await this.ledger.append(transaction, entries, this.#now());
      const refused = appended.find(({ outcome }) => outcome === 'REJECTED');
      if (refused !== undefined && 'code' in refused)
        throw new ProbityError('LBL_ROW_INVALID', `${refused.code}: ${refused.detail}`);
      const last = appended.at(-1);
      const lastSeq = last !== undefined && 'seq' in last ? { lastSeq: last.seq } : {};
      await this.#advance(feed, { ...to, ...lastSeq }, transaction);
      transaction.afterCommit(() => this.teller.wake());
    });
  }

  /** What the world says again of an event takes the place of what it had said, by whichever process that was published. */
  async #entriesOf(transaction: Transaction, feed: Feed, { batch, policyRev }: Chosen): Promise<readonly Entry[]> {
    if (batch.length === 0) return [];
    const { pins, output_id } = feed;
    const of = { runId: pins.run_id, namespace: WORLD, labelType: SEALED_LABEL_TYPE };
    const targets = batch.map(({ target }) => target);
    const said = new Map(await this.ledger.lastOf(transaction, of, targets));
    return batch.map((placed) => {
      const key = targetKey(placed.target);
      const entry = sealedEntry(placed, { pins, outputId: output_id ?? '', policyRev, supersedes: said.get(key) });
      said.set(key, entry.label.label_id);
      return entry;
    });
  }

  async #advance(feed: Feed, to: Progress, queryable: Queryable = this.store.database): Promise<void> {
    if (!(await this.store.advance(queryable, feed, this.#holder, to, LEASE_MS, this.#now())))
      throw new ProbityError('RPC_UNAVAILABLE', 'another process publishes these labels now');
  }

  #now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }
}

function targetId(target: LabelTarget): string {
  return target.kind === 'EVENT' ? target.event_id : targetKey(target);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
