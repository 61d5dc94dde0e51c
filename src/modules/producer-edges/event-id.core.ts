import { defineRecipe } from '../../rails/identity-recipe.js';

const eventIds = defineRecipe<{ producer: string; transaction_id: string }, 'EventId'>('edge.event', 1, {
  producer: true,
  transaction_id: true,
});

/**
 * The id of a producer's transaction: a client that sends it again is answered DUPLICATE, and one that sends something
 * else under the same id is told so (law R6). The run is not part of it, since ids are unique within their pins.
 */
export function edgeEventIdOf(producer: string, transactionId: string): string {
  return eventIds.derive({ producer, transaction_id: transactionId });
}
