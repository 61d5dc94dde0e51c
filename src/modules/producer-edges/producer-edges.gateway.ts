import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { type AdmitRequest, type AdmitResponse, ProducerEdgesPort } from './producer-edges.port.js';
import { ProducerEdgesService, traceIdsOf } from './producer-edges.service.js';
import { eventOf } from './transaction.core.js';

/** The edge as other units use it: the same way as over HTTP, under the unit's own name. */
@Injectable()
export class ProducerEdgesGateway extends ProducerEdgesPort {
  constructor(private readonly edges: ProducerEdgesService) {
    super();
  }

  async admit(
    { transactions }: Static<typeof AdmitRequest>,
    { caller, trace, signal }: CallContext,
  ): Promise<Static<typeof AdmitResponse>> {
    const edge = await this.edges.edgeOf(caller, 'http');
    const ids = traceIdsOf(trace);
    const made = transactions.map((transaction) => eventOf(transaction, edge, ids));
    const results = await this.edges.submit(edge, made, { trace, signal });
    // The rows of the wire form are mutable arrays; these are the very same values.
    return { pins: edge.pins, results } as Static<typeof AdmitResponse>;
  }
}
