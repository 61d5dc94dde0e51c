import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { digestBytes } from '../../rails/digest.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { verifyLog } from '../../rails/tlog/verify-log.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { type LogCursor, LogTap } from '../../substrate/bus/log-tap.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { LogSigner } from '../../substrate/signing/log-signer.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { AuditObjects, checkpointPath } from './audit-objects.js';
import { TRAFFIC } from './decision-log-audit.consumer.js';
import { readLeaf } from './leaf.core.js';

export interface AuditVerification {
  readonly verification_id: string;
  readonly state: 'RUNNING' | 'DONE' | 'FAILED';
  /** Leaves under the newest checkpoint. */
  readonly size: number;
  readonly checked: number;
  /** Checkpoints whose signature holds and whose root is the one of the leaves. */
  readonly checkpoints: number;
  /** Leaves that were held against the record on the bus, byte for byte by its digest. */
  readonly on_bus: number;
  /** Leaves whose record the bus does not keep any more. */
  readonly beyond_retention: number;
  /** Records on the bus that no checkpoint covers yet. */
  readonly not_yet: number;
  readonly by_kind: Readonly<Record<string, number>>;
  /** Intents of which no outcome is logged, and outcomes of which no intent is. */
  readonly intents_open: number;
  readonly outcomes_orphaned: number;
  readonly fault?: { readonly file: string; readonly says: string };
  readonly took_ms: number;
  readonly detail?: string;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

const KEPT_MAX = 32;

/**
 * Checks the whole log as jobs of this process: every signature, the tree from its leaves up, the root at each checkpoint, and each leaf against the very
 * record of the bus that it names, partition by partition without a gap.
 */
@Injectable()
export class AuditVerificationService implements OnModuleDestroy {
  readonly #jobs = new Map<string, Mutable<AuditVerification>>();
  #ended = false;

  constructor(
    private readonly objects: AuditObjects,
    private readonly signer: LogSigner,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleDestroy(): void {
    this.#ended = true;
  }

  start(): AuditVerification {
    const job: Mutable<AuditVerification> = {
      verification_id: randomUUID(),
      state: 'RUNNING',
      size: 0,
      checked: 0,
      checkpoints: 0,
      on_bus: 0,
      beyond_retention: 0,
      not_yet: 0,
      by_kind: {},
      intents_open: 0,
      outcomes_orphaned: 0,
      took_ms: 0,
    };
    this.#jobs.set(job.verification_id, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > KEPT_MAX && oldest !== undefined) this.#jobs.delete(oldest);
    void this.#run(job);
    return job;
  }

  /** @throws DLA_VERIFICATION_NOT_FOUND */
  find(id: string): AuditVerification {
    const job = this.#jobs.get(id);
    if (job !== undefined) return job;
    throw new ProbityError('DLA_VERIFICATION_NOT_FOUND', 'no verification of this id runs or ran here lately');
  }

  async #run(job: Mutable<AuditVerification>): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const against = new AgainstBus(this.bus, job);
    try {
      await this.#check(job, against);
      job.state = 'DONE';
    } catch (error) {
      job.state = 'FAILED';
      job.detail = isProbityError(error) ? `${error.code}: ${error.detail}` : 'an internal error';
      this.telemetry.logger.error('dla_verification_failed', { detail: String(error) });
    } finally {
      await against.close();
      job.took_ms = Math.round(this.clock.monotonicMs() - startedMs);
    }
    const { state, size, checked, checkpoints, on_bus, fault, took_ms } = job;
    const fields = { state, size, checked, checkpoints, on_bus, took_ms };
    if (fault === undefined) this.telemetry.logger.info('dla_verification', fields);
    else this.telemetry.logger.error('dla_verification', { ...fields, file: fault.file, says: fault.says });
  }

  async #check(job: Mutable<AuditVerification>, against: AgainstBus): Promise<void> {
    const notes: { readonly name: string; readonly note: string }[] = [];
    for await (const size of this.objects.allCheckpoints()) {
      const name = checkpointPath(size);
      const note = await this.objects.checkpoint(size);
      if (note !== null) notes.push({ name, note });
      job.size = size;
    }
    if (notes.length === 0) throw new ProbityError('DLA_LOG_EMPTY', 'there is no checkpoint to verify');
    await against.open();
    const found = await verifyLog({
      files: this.objects,
      verifier: this.signer.signer.verifier,
      notes,
      onLeaves: async (first, leaves) => {
        if (this.#ended) throw new ProbityError('RPC_UNAVAILABLE', 'the process was stopped');
        for (const [at, leaf] of leaves.entries()) {
          const says = await against.compare(leaf);
          if (says !== null) return `leaf ${first + at} ${says}`;
        }
        job.checked = first + leaves.length;
        // Whoever waits for an answer of this process gets a turn now and then.
        await new Promise((resolve) => setImmediate(resolve));
        return null;
      },
    });
    job.checkpoints = found.checkpoints;
    if (found.fault !== undefined) {
      job.fault = found.fault;
      return;
    }
    job.not_yet = await against.rest();
    against.sumUp();
  }
}

/** Leaves beside the records of the bus: of every partition the next leaf must be of the next record. */
class AgainstBus {
  readonly #taps: LogTap[] = [];
  readonly #cursors = new Map<number, LogCursor>();
  readonly #lows = new Map<number, number>();
  readonly #kinds: Record<string, number> = {};
  readonly #intents = new Set<string>();
  #orphans = 0;

  constructor(
    private readonly bus: Bus,
    private readonly job: Mutable<AuditVerification>,
  ) {}

  async open(): Promise<void> {
    for (const mark of await this.bus.marks(asTopicName(TRAFFIC))) {
      const tap = new LogTap(this.bus, mark);
      this.#taps.push(tap);
      this.#cursors.set(
        mark.partition,
        tap.cursor(() => true),
      );
      this.#lows.set(mark.partition, mark.lowWater);
    }
  }

  async compare(bytes: Buffer): Promise<string | null> {
    const leaf = readLeaf(bytes);
    if (leaf === null) return 'is not one of this log';
    const { partition, offset, kind } = leaf;
    const place = `${leaf.topic}/${partition}/${offset}`;
    this.#kinds[kind] = (this.#kinds[kind] ?? 0) + 1;
    if (kind === 'intent' && leaf.eventId !== null) this.#intents.add(leaf.eventId);
    // An outcome stands behind its intent on one partition, so what is not there by then never was.
    if (kind === 'outcome' && leaf.intentId !== null && !this.#intents.delete(leaf.intentId)) this.#orphans += 1;
    if (offset < (this.#lows.get(partition) ?? 0)) {
      this.job.beyond_retention += 1;
      return null;
    }
    const cursor = this.#cursors.get(partition);
    const record = cursor?.head ?? (await cursor?.peek());
    if (record === undefined) return `names ${place}, where the bus has nothing`;
    cursor?.skip();
    if (record.offset !== offset) return `is of ${place}, and the next record of the bus is at ${record.offset}`;
    if (digestBytes(record.value) !== leaf.digest) return `has another digest than the record at ${place}`;
    this.job.on_bus += 1;
    return null;
  }

  /** What came to the bus since, up to the marks of the beginning. */
  async rest(): Promise<number> {
    let rest = 0;
    for (const cursor of this.#cursors.values()) while ((await cursor.take()) !== undefined) rest += 1;
    return rest;
  }

  sumUp(): void {
    this.job.by_kind = this.#kinds;
    this.job.intents_open = this.#intents.size;
    this.job.outcomes_orphaned = this.#orphans;
  }

  async close(): Promise<void> {
    await Promise.all(this.#taps.map((tap) => tap.close()));
  }
}
