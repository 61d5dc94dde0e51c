import { Type } from '@sinclair/typebox';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted } from './door-api.js';

const VerificationSchema = Type.Object({
  verification_id: Type.String(),
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE'), Type.Literal('FAILED')]),
  size: Type.Integer(),
  checked: Type.Integer(),
  checkpoints: Type.Integer(),
  on_bus: Type.Integer(),
  beyond_retention: Type.Integer(),
  not_yet: Type.Integer(),
  by_kind: Type.Record(Type.String(), Type.Integer()),
  intents_open: Type.Integer(),
  outcomes_orphaned: Type.Integer(),
  fault: Type.Optional(Type.Object({ file: Type.String(), says: Type.String() })),
  took_ms: Type.Integer(),
  detail: Type.Optional(Type.String()),
});
export type AuditVerificationAnswer = Sealed<typeof VerificationSchema>;

const readers = {
  verification: validatorOf(VerificationSchema, 'the verification'),
  status: validatorOf(
    Type.Object({
      leaves: Type.Integer(),
      signed: Type.Integer(),
      by_kind: Type.Record(Type.String(), Type.Integer()),
    }),
    'the state of the audit log',
  ),
  run: validatorOf(
    Type.Object({ run_id: Type.String(), by_kind: Type.Record(Type.String(), Type.Integer()) }),
    'the leaves of the run',
  ),
  sizes: validatorOf(Type.Object({ sizes: Type.Array(Type.Integer()) }), 'the list of checkpoints'),
};

/** The routes of the audit log. */
export class AuditApi {
  constructor(private readonly door: DoorApi) {}

  async status(): Promise<{
    readonly leaves: number;
    readonly signed: number;
    readonly by_kind: Readonly<Record<string, number>>;
  }> {
    return await this.door.ask('dla', got('/v1/audit/status'), readers.status);
  }

  /** Leaves of the run, by kind. */
  async run(runId: string): Promise<Readonly<Record<string, number>>> {
    return (await this.door.ask('dla', got(`/v1/audit/runs/${encodeURIComponent(runId)}`), readers.run)).by_kind;
  }

  async verify(): Promise<AuditVerificationAnswer> {
    return await this.door.ask('dla', posted('/v1/audit/verifications', {}), readers.verification);
  }

  async verification(id: string): Promise<AuditVerificationAnswer> {
    return await this.door.ask('dla', got(`/v1/audit/verifications/${encodeURIComponent(id)}`), readers.verification);
  }

  async sizes(after: number | null): Promise<readonly number[]> {
    const page = after === null ? '' : `?after=${after}`;
    return (await this.door.ask('dla', got(`/v1/audit/checkpoints${page}`), readers.sizes)).sizes;
  }

  async file(path: string): Promise<Buffer> {
    return await this.door.bytes('dla', `/v1/audit/${path}`);
  }
}
