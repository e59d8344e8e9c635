package store

import "keyless/handler/fault"

// What both stores answer. A consumer that has a better word for its records
// ("conversation") matches the code and says it anew.

func notFound() *fault.Error {
	return fault.New(fault.NotFound, "record_not_found", "There is no such record.")
}

func exists() *fault.Error {
	return fault.New(fault.Conflict, "record_exists", "There is such a record already.")
}

func busy() *fault.Error {
	return fault.New(fault.Conflict, "record_busy", "Something else is at work on this record. Try again when it is done.")
}

func lockLost() *fault.Error {
	return fault.New(fault.Conflict, "record_lock_lost", "The record's lock was lost during the work, so its outcome was not kept. Try again.")
}
