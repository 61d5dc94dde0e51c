import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Type } from '@sinclair/typebox';
import { OffsetSchema, PartitionSchema, TopicNameSchema } from '../../../rails/eb-ref.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { closed, type Sealed } from '../../../rails/schema.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { ArchiveService, type WindowProof } from './archive.service.js';
import { ArchiveStore } from './archive.store.js';

export const ArchiveVerificationRequestSchema = closed({
  topic: Type.Optional(TopicNameSchema),
  partition: Type.Optional(PartitionSchema),
  /** Inclusive; with `partition`. Left out: where the archive of the partition begins. */
  first_offset: Type.Optional(OffsetSchema),
  /** Exclusive; with `partition`. Left out: as far as it goes. */
  next_offset: Type.Optional(OffsetSchema),
});
export type ArchiveVerificationRequest = Sealed<typeof ArchiveVerificationRequestSchema>;

export interface ArchiveVerification {
  readonly verification_id: string;
  readonly state: 'RUNNING' | 'DONE' | 'FAILED';
  readonly chunks: number;
  readonly records: number;
  readonly bytes: number;
  /** Windows that are complete, each with its last link. */
  readonly proofs: readonly WindowProof[];
  /** What was missing or changed first. */
  readonly fault?: { readonly code: string; readonly says: string };
  readonly took_ms: number;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };
const KEPT_MAX = 32;

/** Reads the archive again as jobs of this process. */
@Injectable()
export class ArchiveVerificationService implements OnModuleDestroy {
  readonly #jobs = new Map<string, Mutable<ArchiveVerification>>();
  readonly #ended = new AbortController();

  constructor(
    private readonly archive: ArchiveService,
    private readonly store: ArchiveStore,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleDestroy(): void {
    this.#ended.abort(new ProbityError('RPC_UNAVAILABLE', 'the process was stopped'));
  }

  /** @throws HTTP_REQUEST_INVALID for offsets without a partition */
  start(request: ArchiveVerificationRequest): ArchiveVerification {
    if ((request.first_offset ?? request.next_offset) !== undefined && request.partition === undefined)
      throw new ProbityError('HTTP_REQUEST_INVALID', 'offsets are of one partition: say which topic and partition');
    const job: Mutable<ArchiveVerification> = {
      ...{ verification_id: randomUUID(), state: 'RUNNING', chunks: 0, records: 0, bytes: 0, proofs: [], took_ms: 0 },
    };
    this.#jobs.set(job.verification_id, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > KEPT_MAX && oldest !== undefined) this.#jobs.delete(oldest);
    void this.#run(job, request);
    return job;
  }

  /** @throws OPS_VERIFICATION_NOT_FOUND */
  find(id: string): ArchiveVerification {
    const job = this.#jobs.get(id);
    if (job !== undefined) return job;
    throw new ProbityError('OPS_VERIFICATION_NOT_FOUND', 'no verification of this id runs or ran here lately');
  }

  async #run(job: Mutable<ArchiveVerification>, request: ArchiveVerificationRequest): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    try {
      for (const proof of await this.verify(request, this.#ended.signal, (chunk) => {
        job.chunks += 1;
        job.records += chunk.records;
        job.bytes += chunk.bytes;
      }))
        job.proofs = [...job.proofs, proof];
      job.state = 'DONE';
    } catch (error) {
      job.state = 'FAILED';
      const [code, says] = isProbityError(error) ? [error.code, error.detail] : ['INTERNAL', 'an internal error'];
      job.fault = { code, says };
      this.telemetry.logger.error('ops_archive_verification_failed', { code, detail: String(error) });
    }
    job.took_ms = Math.round(this.clock.monotonicMs() - startedMs);
  }

  /**
   * Proves every partition that the request names complete. A window that nobody archived is none: it is a gap.
   * @throws OPS_ARCHIVE_GAP, OPS_ARCHIVE_TAMPERED; what the signal was aborted with
   */
  async verify(
    { topic, partition, first_offset, next_offset }: ArchiveVerificationRequest,
    signal: AbortSignal,
    onChunk: (chunk: { readonly records: number; readonly bytes: number }) => void = () => undefined,
  ): Promise<readonly WindowProof[]> {
    const standing = await this.store.partitions();
    const wanted = standing.filter(
      (one) => (topic === undefined || one.topic === topic) && (partition === undefined || one.partition === partition),
    );
    if (wanted.length === 0) throw new ProbityError('OPS_ARCHIVE_GAP', 'nothing of this is archived');
    const proofs: WindowProof[] = [];
    for (const one of wanted) {
      const window = { first: first_offset ?? one.first_offset, next: next_offset ?? one.next_offset };
      const proof = await this.archive.prove(one, window, (chunk) => {
        signal.throwIfAborted();
        onChunk(chunk);
      });
      proofs.push(proof);
    }
    return proofs;
  }
}
