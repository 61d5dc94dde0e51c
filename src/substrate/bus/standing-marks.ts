import { asTopicName } from '../../rails/eb-ref.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Bus, PartitionMarks } from './bus.port.js';

/** The partitions of a topic; none of one that no unit has made yet: an installation begins with the first role that starts. */
export async function marksOf(bus: Bus, topic: string): Promise<readonly PartitionMarks[]> {
  try {
    return await bus.marks(asTopicName(topic));
  } catch (error) {
    if (isProbityError(error, 'BUS_TOPIC_UNKNOWN')) return [];
    throw error;
  }
}
