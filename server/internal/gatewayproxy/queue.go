package gatewayproxy

import "sync"

// maxQueueBytes limits what waits to be sent to one client.
const maxQueueBytes = 32 << 20

// taskBytes is about what a task takes in addition to what it holds.
const taskBytes = 256

// queue contains the work of a connection in addition to sending the hub's events, such
// as responses to requests for members, in order.
type queue struct {
	wake chan struct{} // holds a token when there is something to do
	full func()        // called when more waits than may

	mu    sync.Mutex
	tasks []task
	bytes int
}

type task struct {
	size int
	do   func() error
}

func newQueue(full func()) *queue { return &queue{wake: make(chan struct{}, 1), full: full} }

// put adds a task that holds about size bytes. It never waits.
func (q *queue) put(size int, do func() error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size += taskBytes
	if q.bytes += size; q.bytes > maxQueueBytes {
		go q.full()
		return
	}
	q.tasks = append(q.tasks, task{size, do})
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) take() (t task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return t, false
	}
	t, q.tasks[0] = q.tasks[0], task{}
	q.tasks = q.tasks[1:]
	q.bytes -= t.size
	return t, true
}

// run does the tasks until the connection ends.
func (q *queue) run(c *connection) {
	for c.work.Err() == nil {
		t, ok := q.take()
		if !ok {
			select {
			case <-c.work.Done():
				return
			case <-q.wake:
			}
			continue
		}
		if err := t.do(); err != nil {
			c.end(err)
			return
		}
	}
}
