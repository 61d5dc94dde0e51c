import { Type } from '@sinclair/typebox';
import type { ArchiveVerificationRequest } from '../../modules/run-operate/archive/archive-verification.service.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted } from './door-api.js';

const StatusSchema = Type.Object({
  partitions: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition: Type.Integer(),
      chunks: Type.Integer(),
      records: Type.Integer(),
      stored_bytes: Type.Integer(),
      first_offset: Type.Integer(),
      next_offset: Type.Integer(),
      last_archived_at_utc: Type.Union([Type.String(), Type.Null()]),
      gaps: Type.Array(Type.Object({ first: Type.Integer(), next: Type.Integer() })),
      low_water: Type.Integer(),
      behind: Type.Integer(),
    }),
  ),
});
const VerificationSchema = Type.Object({
  verification_id: Type.String(),
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE'), Type.Literal('FAILED')]),
  chunks: Type.Integer(),
  records: Type.Integer(),
  bytes: Type.Integer(),
  proofs: Type.Array(
    Type.Object({
      topic: Type.String(),
      partition: Type.Integer(),
      first_offset: Type.Integer(),
      next_offset: Type.Integer(),
      chunks: Type.Integer(),
      records: Type.Integer(),
      chain: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  fault: Type.Optional(Type.Object({ code: Type.String(), says: Type.String() })),
  took_ms: Type.Integer(),
});

const readers = {
  status: validatorOf(StatusSchema, 'the state of the archive'),
  verification: validatorOf(VerificationSchema, 'the verification'),
};

export type ArchiveStatusAnswer = Sealed<typeof StatusSchema>;
export type ArchiveVerificationAnswer = Sealed<typeof VerificationSchema>;

/** The routes of the archive. */
export class ArchiveApi {
  constructor(private readonly door: DoorApi) {}

  async status(): Promise<ArchiveStatusAnswer> {
    return await this.door.ask('ops', got('/v1/archive'), readers.status);
  }

  async verify(request: ArchiveVerificationRequest): Promise<ArchiveVerificationAnswer> {
    return await this.door.ask('ops', posted('/v1/archive/verifications', request), readers.verification);
  }

  async verification(id: string): Promise<ArchiveVerificationAnswer> {
    return await this.door.ask('ops', got(`/v1/archive/verifications/${encodeURIComponent(id)}`), readers.verification);
  }
}
