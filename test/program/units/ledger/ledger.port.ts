import { type Static, Type } from '@sinclair/typebox';
import type { CallContext } from '../../../../src/substrate/rpc/rpc.port.js';
import { defineContract } from '../../../../src/substrate/rpc/rpc-contract.js';

const closed = { additionalProperties: false } as const;

export const BalanceRequest = Type.Object({ account: Type.String({ minLength: 1 }) }, closed);
export type BalanceRequest = Static<typeof BalanceRequest>;

export const Balance = Type.Object(
  { account: Type.String(), minor_units: Type.Integer(), deposits: Type.Integer(), answered_by_pid: Type.Integer() },
  closed,
);
export type Balance = Static<typeof Balance>;

/** What the teller may ask of the ledger. */
export abstract class LedgerPort {
  abstract balance(request: BalanceRequest, context: CallContext): Promise<Balance>;
}

export const LEDGER_CONTRACT = defineContract('ledger', {
  balance: {
    request: BalanceRequest,
    response: Balance,
    idempotent: true,
    permission: 'rpc.call:ledger',
    summary: 'Balance of an account',
  },
});
