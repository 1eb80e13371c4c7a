"""FastAPI, one worker, each request alone: python fastapi_app.py PORT."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from tiny_net import Batch


class Record(BaseModel):
    """One row."""

    x: list[float]


class Body(BaseModel):
    """A request."""

    instances: list[Record]


app, run = FastAPI(), Batch()


@app.post("/v1/predict")
async def predict(body: Body) -> dict[str, list[dict[str, list[float]]]]:
    """Answer rows."""
    return {"predictions": [{"y": row} for row in run([each.x for each in body.instances])]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
