import { Injectable } from '@nestjs/common';
import type { JsonObject } from '../../../../rails/canonical-json.js';
import type { WindowProof } from '../../archive/archive.service.js';
import { ArchiveStore } from '../../archive/archive.store.js';
import {
  ArchiveVerificationRequestSchema,
  ArchiveVerificationService,
} from '../../archive/archive-verification.service.js';
import type { Told } from '../../operation-facts.js';
import type { JobKind, JobWork } from '../job-kind.js';

/** Reads the archive again. A gap or a changed byte is a job that FAILED, and its receipt names the offsets. */
@Injectable()
export class ArchiveVerifyJob implements JobKind {
  readonly kind = 'archive_verify';
  readonly summary = 'Reads the archive again, every byte of it, and proves that no offset is missing.';
  readonly scope = ArchiveVerificationRequestSchema;

  constructor(
    private readonly verifications: ArchiveVerificationService,
    private readonly store: ArchiveStore,
  ) {}

  async run(scope: JsonObject, { signal }: JobWork): Promise<JsonObject> {
    // An installation that has just begun has nothing to prove, which is no fault of its archive.
    if (scope['topic'] === undefined && (await this.store.partitions()).length === 0) return { proofs: [] };
    // The kinds have compared the scope with the schema.
    const proofs = await this.verifications.verify(scope, signal);
    return { proofs: proofs.map((proof) => ({ ...proof })) };
  }

  /** The index says the same of each window as what was read. */
  async verify(_: JsonObject, { proofs }: JsonObject): Promise<JsonObject> {
    const standing = await this.store.partitions();
    return { partitions_in_index: standing.length, windows_proven: Array.isArray(proofs) ? proofs.length : 0 };
  }

  tells({ proofs }: JsonObject): readonly Told[] {
    return (proofs as unknown as readonly WindowProof[]).map(
      ({ topic, partition, first_offset, next_offset, chunks, records, chain }, step) => ({
        ...{ kind: 'ARCHIVE_VERIFIED', subject: `${topic}/${partition}`, reason: 'every byte was read again', step },
        detail: { first_offset, next_offset, chunks, records, chain: chain ?? '' },
      }),
    );
  }
}
